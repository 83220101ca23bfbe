"""Machine code for one row of numbers: steps that numba compiles for the processor at hand.

``threads``
    Runs code on the threads of torch.
``arithmetic``
    Numbers of every dtype, dot products, norms: what all compiled functions are made of.
``layers``
    Llama-like layers on one token.
``matrices``
    Matrices times one vector.
``compiling``
    Compiles them once and keeps the result on disk.

numba is needed by all but ``threads``, so they are imported when it is known to be there.
"""
