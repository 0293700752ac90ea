"""The models and data sets of this project, referenced by the files in conf/."""
