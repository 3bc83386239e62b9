//! Statistics: exact tails in log space, corrections, power. The only place where a p-value is made.
