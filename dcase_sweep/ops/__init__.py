"""Fast operations on a CPU, each behind one public function, and :func:`can_fuse`, which says when to use them."""
