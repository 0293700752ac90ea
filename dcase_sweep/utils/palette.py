"""Colours of figures and pages, distinguishable with any colour vision.

Okabe and Ito, "Color universal design: how to make figures and presentations that are friendly to colorblind people",
2008 (https://jfly.uni-koeln.de/color), without black and without yellow, which is too light for lines on white.
"""

BLUE, VERMILION, GREEN, PURPLE, SKY_BLUE, ORANGE = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"
#: In the order in which lines and bars take them.
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, SKY_BLUE, ORANGE)
#: With more lines than colours, the line styles of Matplotlib tell them apart.
LINES = ("-", "--", ":")
#: What is missing, and what is in the background.
LIGHT_GREY, GREY = "0.85", "0.45"
#: Colour maps of Matplotlib whose lightness grows evenly: spectrograms, probabilities and orders, fractions.
SPECTROGRAM, SEQUENCE, FRACTION = "magma", "cividis", "Blues"
