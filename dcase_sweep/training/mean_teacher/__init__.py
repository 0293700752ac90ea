"""Mean teacher for sound event detection (Tarvainen and Valpola, 2017), as the DCASE 2021 task 4 baseline trains it.

One training step, in the order of the recipe ``dcase2021_task4_baseline`` of github.com/DCASE-REPO/DESED_task, with
steps counted from 1:

1. a batch of strong, weak and unlabelled clips, as mel amplitudes (:mod:`.sampling`);
2. with probability one half, mixup among the strong and among the weak clips; unlabelled ones stay (:mod:`.mixup`);
3. decibels, each clip scaled by its own range; the student and the teacher see the same, no noise added, both in
   training mode with dropout of their own, the teacher without gradients;
4. the losses on the student's predictions: supervised ones against the mixed labels, consistency with the teacher on
   all clips, mixed ones included, weighted by 2 times the ramp at this step (:mod:`.losses`, :mod:`.ramps`);
5. the teacher's update with this step's number, from the student before its own update (:mod:`.teacher`);
6. gradients and Adam. The learning rate follows the same ramp, except that the published recipe's scheduler acts
   after the optimiser, so that its very first step is taken at the full rate.
"""
