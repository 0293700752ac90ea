"""The same networks and recipes in Keras on TensorFlow."""
