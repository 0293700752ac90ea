"""Fast operations on a CPU, each behind one public function, and the rule that says where they may be used."""
