//! The composition root: machines and the server for other processes.
