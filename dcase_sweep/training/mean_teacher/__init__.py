"""Mean teacher for sound event detection (Tarvainen and Valpola, 2017), as in the DCASE 2021 task 4 baseline.

A training step follows the recipe ``dcase2021_task4_baseline`` of github.com/DCASE-REPO/DESED_task. Steps are counted
from 1.

1. Load a batch of strongly labelled, weakly labelled and unlabelled clips as mel amplitudes (`sampling`).
2. With probability 0.5, apply mixup among the strong and among the weak clips (`training.augmentation.events`).
3. Convert to decibels and scale each clip by its own range. Student and teacher receive the same features without
   noise. Both are in training mode with different dropout masks; the teacher computes no gradients.
4. Compute the losses of the student: the supervised losses for the mixed labels, and the consistency with the teacher
   on all clips, with a weight of 2 times the ramp at this step (`losses`, `training.ramps`).
5. Update the teacher with the decay of this step, from the student's weights before their update (`teacher`).
6. Update the student with Adam. The learning rate follows the same ramp, except for the first step, which has the full
   rate: the scheduler of the recipe is called after the optimizer.
"""
