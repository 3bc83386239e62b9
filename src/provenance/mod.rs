//! Where a text comes from: receipts of answers and the chain that they are kept in.
