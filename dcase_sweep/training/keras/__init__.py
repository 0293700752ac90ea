"""The Keras twin, on TensorFlow: the same networks, trained by the same recipes."""
