"""Handwritten digits for training: MNIST, if its files are available, and scikit-learn's digits."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from symad.demo.idx import DataError, read_idx
from symad.demo.requirements import load
from symad.records import dataclass

_IMAGES_MAGIC = 2051  # unsigned bytes, 3 axes
_LABELS_MAGIC = 2049  # unsigned bytes, 1 axis

Array = np.ndarray[Any, Any]


def parse_mnist(
    images_gz: str | os.PathLike[str], labels_gz: str | os.PathLike[str]
) -> tuple[Array, Array]:
    """Return the images and labels of a pair of MNIST files, gzipped or plain.

    Parameters
    ----------
    images_gz, labels_gz : path

    Returns
    -------
    images : float32 array of shape (n, rows * columns), which is (n, 784) for MNIST
        In [0, 1].
    labels : uint8 array of shape (n,)

    Raises
    ------
    DataError
        If a file is not IDX, is damaged or has another magic number, or if the counts differ.
    OSError
        If a file cannot be opened.
    """
    pixels = read_idx(images_gz, _IMAGES_MAGIC)
    labels = read_idx(labels_gz, _LABELS_MAGIC)
    count, rows, columns = pixels.shape
    if count != len(labels):
        raise DataError(
            f"{images_gz} has {count} images, but {labels_gz} has {len(labels)} labels",
            remedy="Use two files of the same set: train with train, t10k with t10k.",
        )
    images = pixels.reshape(count, rows * columns).astype(np.float32)
    images /= 255
    return images, labels


@dataclass(frozen=True)
class Digits:
    """Images and labels, split into a training part and a held-out part.

    Attributes
    ----------
    train_images, held_out_images : float32 arrays of shape (n, pixels)
        In [0, 1].
    train_labels, held_out_labels : uint8 arrays of shape (n,)
    """

    train_images: Array
    train_labels: Array
    held_out_images: Array
    held_out_labels: Array


def load_digits() -> Digits:
    """Return scikit-learn's 1797 handwritten digits of 8 × 8 pixels, a fifth of them held out.

    They are part of scikit-learn: nothing is downloaded.  The split is the same in each call.

    Raises
    ------
    MissingExtraError
        If scikit-learn is not installed.

    Examples
    --------
    >>> digits = load_digits()
    >>> digits.train_images.shape, digits.held_out_images.shape
    ((1438, 64), (359, 64))
    """
    pixels, labels = load("sklearn.datasets", "the data set").load_digits(return_X_y=True)
    return split_digits(pixels.astype(np.float32) / 16, labels.astype(np.uint8))


def split_digits(images: Array, labels: Array, held_out: float = 0.2) -> Digits:
    """Shuffle the digits, always in the same order, and hold out a fraction of them."""
    order = np.random.default_rng(0).permutation(len(images))
    kept = len(images) - int(len(images) * held_out)
    learn, test = order[:kept], order[kept:]
    return Digits(images[learn], labels[learn], images[test], labels[test])
