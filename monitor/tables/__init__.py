"""Arrow tables and columns: values, digests, groups, samples, and the matrix a learner reads."""
