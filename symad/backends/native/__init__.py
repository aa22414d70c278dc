"""The native backend: plans as machine code by LLVM; needs the extra ``native``."""
