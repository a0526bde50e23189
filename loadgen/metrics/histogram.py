"""A sparse, mergeable histogram with exactly HdrHistogram's buckets (1 µs to 1 h in nanoseconds, 3 digits).

The `hdrhistogram` package keeps 184 KB of counts a histogram and takes 0.9 µs a sample. A worker needs one
for each metric, group and second, so this one keeps only the buckets in use, and takes samples by the
thousand. The arithmetic of indices and percentiles is HdrHistogram's
(http://hdrhistogram.org): values read alike in both.
"""

from __future__ import annotations

import base64
import binascii
import struct
import sys
import zlib
from array import array
from collections import Counter
from itertools import accumulate
from operator import sub
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hdrh.histogram import HdrHistogram

LOWEST_NS = 1_000
"""The smallest value told apart from zero: 1 µs."""
HIGHEST_NS = 3_600_000_000_000
"""The largest value kept: 1 h."""
DIGITS = 3
"""Significant decimal digits kept."""

_UNIT_MAGNITUDE = 9  # floor(log2(LOWEST_NS)): the finest bucket is 512 ns wide
_HALF_MAGNITUDE = 10  # 2 * 10**DIGITS rounds up to 2048 sub-buckets; half of them is 1 << 10
_HALF_COUNT = 1 << _HALF_MAGNITUDE

# A value of b bits lies in bucket max(0, b - 20); the tables turn b into its bucket's shift and index offset.
_BUCKET = [max(0, bits - _UNIT_MAGNITUDE - _HALF_MAGNITUDE - 1) for bits in range(64)]
_SHIFT = [bucket + _UNIT_MAGNITUDE for bucket in _BUCKET]
_OFFSET = [bucket << _HALF_MAGNITUDE for bucket in _BUCKET]

_EDGES = struct.Struct("<BBqqqQ")  # version, type of counts, min, max, out of range, sum
_VERSION = 1


def index_of(nanoseconds: int) -> int:
    """Give the HdrHistogram counts index of a value in range."""
    bits = nanoseconds.bit_length()
    return (nanoseconds >> _SHIFT[bits]) + _OFFSET[bits]


def lowest_at(index: int) -> int:
    """Give the lowest value, in nanoseconds, that falls into a counts index."""
    bucket = (index >> _HALF_MAGNITUDE) - 1
    if bucket < 0:
        return index << _UNIT_MAGNITUDE
    return ((index & (_HALF_COUNT - 1)) + _HALF_COUNT) << (bucket + _UNIT_MAGNITUDE)


def highest_at(index: int) -> int:
    """Give the highest value, in nanoseconds, that falls into a counts index."""
    return lowest_at(index + 1) - 1


class Histogram:
    """Counts of nanosecond values; `a + b` is the histogram of all samples of both.

    Values from 0 to `HIGHEST_NS` are counted, those below 1 µs in the lowest two buckets; negative values and
    values above one hour are counted in `out_of_range` only, never dropped in silence.
    """

    __slots__ = ("count", "counts", "max", "min", "out_of_range", "total")

    def __init__(self, samples: Sequence[int] = ()) -> None:
        """Start empty or with samples in nanoseconds."""
        self.counts: Counter[int] = Counter()
        """Samples by HdrHistogram counts index."""
        self.count = 0
        """Samples in range."""
        self.total = 0
        """Exact sum of the samples in range, in nanoseconds."""
        self.min = 0
        """Exact smallest sample, in nanoseconds; 0 when empty."""
        self.max = 0
        """Exact largest sample, in nanoseconds; 0 when empty."""
        self.out_of_range = 0
        """Samples that were negative or above one hour."""
        if samples:
            self.record_many(samples)

    def record(self, nanoseconds: int) -> None:
        """Record one sample."""
        self.record_many((nanoseconds,))

    def record_many(self, samples: Sequence[int]) -> None:
        """Record samples in nanoseconds; the hot path, meant for hundreds to thousands at once."""
        if not samples:
            return
        low, high = min(samples), max(samples)
        if low < 0 or high > HIGHEST_NS:
            kept = [value for value in samples if 0 <= value <= HIGHEST_NS]
            self.out_of_range += len(samples) - len(kept)
            self.record_many(kept)
            return
        shift, offset = _SHIFT, _OFFSET
        # Counter.update counts a list in C; everything else per sample is this one comprehension.
        self.counts.update([(value >> shift[bits := value.bit_length()]) + offset[bits] for value in samples])
        self._extend(len(samples), sum(samples), low, high)

    def _extend(self, count: int, total: int, low: int, high: int) -> None:
        if not self.count or low < self.min:
            self.min = low
        self.max = max(self.max, high)
        self.count += count
        self.total += total

    def __iadd__(self, other: Histogram) -> Histogram:  # noqa: PYI034 - typing.Self would say no more here
        """Add all samples of another histogram to this one."""
        if other.count:
            known = self.counts.get
            # The new counts in one go: half the time of adding bucket by bucket.
            dict.update(
                self.counts, {index: known(index, 0) + count for index, count in other.counts.items()}
            )
            self._extend(other.count, other.total, other.min, other.max)
        self.out_of_range += other.out_of_range
        return self

    def __add__(self, other: Histogram) -> Histogram:
        """Give the histogram of the samples of both."""
        made = self.copy()
        made += other
        return made

    def copy(self) -> Histogram:
        """Give an independent copy."""
        made = Histogram()
        made.counts = self.counts.copy()
        made.count, made.total, made.min, made.max = self.count, self.total, self.min, self.max
        made.out_of_range = self.out_of_range
        return made

    def __eq__(self, other: object) -> bool:
        """Equal when every bucket and every exact figure is."""
        if not isinstance(other, Histogram):
            return NotImplemented
        return self._figures() == other._figures() and self.counts == other.counts

    __hash__ = None  # type: ignore[assignment]  # mutable

    def _figures(self) -> tuple[int, int, int, int, int]:
        return (self.count, self.total, self.min, self.max, self.out_of_range)

    def __bool__(self) -> bool:
        """Whether anything was recorded, in range or not."""
        return bool(self.count or self.out_of_range)

    def __repr__(self) -> str:
        """Show the size and the edges."""
        edges = f"{self.min}..{self.max} ns"
        return f"Histogram({self.count} samples, {edges}, {self.out_of_range} out of range)"

    def to_hdr(self) -> HdrHistogram:
        """Give the same histogram as an `hdrh.histogram.HdrHistogram`, for its log format and its tools."""
        from loadgen.metrics import hdr  # noqa: PLC0415 - workers never need it: 2 MB and 17 ms saved in each

        return hdr.to_hdr(self)

    @classmethod
    def from_hdr(cls, histogram: HdrHistogram) -> Histogram:
        """Take over an `HdrHistogram` of the same range and digits; its sum is known to the bucket only."""
        from loadgen.metrics import hdr  # noqa: PLC0415 - as above

        return hdr.from_hdr(histogram)

    @property
    def mean(self) -> float:
        """Exact mean in nanoseconds; 0.0 when empty."""
        return self.total / self.count if self.count else 0.0

    def percentile(self, percent: float) -> int:
        """Give the value (ns) that `percent` (0 to 100) of the samples do not exceed; 0 when empty."""
        return self.percentiles((percent,))[0]

    def percentiles(self, percents: Sequence[float]) -> list[int]:
        """Give several percentiles in one walk, in the order asked for, in nanoseconds.

        As HdrHistogram: the highest value equivalent to the bucket that holds the rank. Unlike it, never
        above the exact maximum; and percentile 0 is the exact minimum.
        """
        found = dict.fromkeys(percents, self.min)
        wanted = sorted((max(1, int(min(p, 100.0) * self.count / 100 + 0.5)), p) for p in found if p > 0)
        if not self.count or not wanted:
            return [found[percent] for percent in percents]
        seen, at = 0, 0
        for index in sorted(self.counts):
            seen += self.counts[index]
            while at < len(wanted) and wanted[at][0] <= seen:
                found[wanted[at][1]] = min(highest_at(index), self.max)
                at += 1
            if at == len(wanted):
                break
        return [found[percent] for percent in percents]

    def encode(self) -> str:
        """Write as compact ASCII text for the store: delta-coded indices and counts, deflated, base64."""
        indices = sorted(self.counts)
        counts = [self.counts[index] for index in indices]
        top = max(counts, default=0)
        code = next(code for code, bits in (("B", 8), ("H", 16), ("I", 32), ("Q", 64)) if top < 1 << bits)
        edges = _EDGES.pack(_VERSION, ord(code), self.min, self.max, self.out_of_range, self.total)
        deltas = array("H", map(sub, indices, [0, *indices[:-1]]))
        body = edges + _little(deltas).tobytes() + _little(array(code, counts)).tobytes()
        return base64.b64encode(zlib.compress(body, 1)).decode("ascii")

    @classmethod
    def decode(cls, text: str) -> Histogram:
        """Read what `encode` wrote.

        Raises:
            ValueError: The text is damaged or of another version.
        """
        try:
            body = zlib.decompress(base64.b64decode(text, validate=True))
            version, code, low, high, out_of_range, total = _EDGES.unpack_from(body)
            counts: array[int] = array(chr(code))
            size, rest = divmod(len(body) - _EDGES.size, 2 + counts.itemsize)
            split = _EDGES.size + 2 * size
            deltas = array("H", body[_EDGES.size : split])
            counts.frombytes(body[split:])
        except (ValueError, binascii.Error, zlib.error, struct.error) as error:
            raise ValueError(f"damaged histogram {text!r:.40}: {error}") from error
        if version != _VERSION or rest:
            raise ValueError(f"damaged histogram, or of another version: {text!r:.40}")
        made = cls()
        # `Counter.update` would count in Python, bucket by bucket.
        dict.update(made.counts, zip(accumulate(_little(deltas)), _little(counts), strict=True))
        made.min, made.max, made.out_of_range, made.total = low, high, out_of_range, total
        made.count = sum(made.counts.values())
        return made


def _little(numbers: array[int]) -> array[int]:
    """Swap to or from the little-endian order of the encoding where the machine differs."""
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
