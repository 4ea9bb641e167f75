//! How an application reaches a kernel, and its two-process form.
