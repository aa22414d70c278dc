"""One module for each eval, with the functions that the eval names.

Each function takes an input of the suite and returns what is to be timed, a ``TimedCall``.  All
derivatives are symad's, and no problem is replaced by a closed form.
"""
