"""The native backend: plans as machine code, made by LLVM; needs the extra ``native``."""
