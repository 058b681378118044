"""May this candidate replace the champion? Rows, both answers, the paired difference, the verdict."""
