"""What a data set contains, before anything is learned from it: counts, lengths, levels, copies and problems."""
