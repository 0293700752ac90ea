"""Fast operations on a CPU, each behind one public function, and :func:`can_fuse`, which decides when to use them."""
