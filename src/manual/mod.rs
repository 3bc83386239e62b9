//! The manual: decisions and their reasons, as documentation that is built and tested with the code.
