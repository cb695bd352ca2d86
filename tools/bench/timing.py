"""Times candidates in turns on one GPU, each from a flushed L2."""

import ctypes
import statistics
import warnings

from bench import entry, gpus

WARM_UPS = 2
FLUSHED = 256 << 20  # bytes, more than any L2
COPIED = 512 << 20  # bytes
# The GPU spins so long before a candidate, a millisecond or two, that the CPU has sent all of its kernels by then: what
# is timed is the GPU's work, not Python's.
HELD_CLOCKS = 3_000_000


def first_line(text):
    return text.strip().partition("\n")[0][:200]


class Bench:
    def __init__(self, torch, rounds, device="cuda"):
        self.torch, self.rounds, self.device = torch, rounds, device
        self.properties = torch.cuda.get_device_properties(0)
        it = self.properties
        self.capability = 10 * it.major + it.minor
        self.gpu = entry.BrumeGpu(it.multi_processor_count, it.shared_memory_per_block_optin,
                                  it.shared_memory_per_multiprocessor, self.capability, it.L2_cache_size)
        self.flushed = torch.empty(FLUSHED, dtype=torch.uint8, device=self.device)

    def stream(self):
        return ctypes.c_void_p(self.torch.cuda.current_stream().cuda_stream)

    def blas_handle(self):
        return ctypes.c_void_p(self.torch.cuda.current_blas_handle())

    def random(self, *sizes, dtype):
        return self.torch.randn(*sizes, device=self.device, dtype=dtype)

    def once(self, work):
        """Microseconds."""
        start, stop = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
        self.flushed.zero_()
        self.torch.cuda._sleep(HELD_CLOCKS)
        start.record()
        work()
        stop.record()
        self.torch.cuda.synchronize()
        return start.elapsed_time(stop) * 1e3

    def times(self, ours, others):
        """The median of each in microseconds, and why others refused. Ours may not: its exception goes on."""
        taken, refused = {name: [] for name in ("ours", *others)}, {}
        for turn in range(WARM_UPS + self.rounds):
            time = self.once(ours)
            if turn >= WARM_UPS:
                taken["ours"].append(time)
            for name, work in others.items():
                if name in refused:
                    continue
                with warnings.catch_warnings(record=True) as said:
                    warnings.simplefilter("always")
                    try:
                        time = self.once(work)
                    except Exception as error:  # noqa: BLE001: a backend may refuse a shape in any way it likes
                        # The warnings have the reasons; the exception says that no kernel is left.
                        reasons = [str(error), *(str(warning.message) for warning in said)]
                        refused[name] = "; ".join(first_line(reason) for reason in reasons)
                        continue
                if turn >= WARM_UPS:
                    taken[name].append(time)
        return {name: statistics.median(times) for name, times in taken.items() if name not in refused}, refused

    def copy_gigabytes(self):
        """GB/s of a large copy, read and write counted."""
        source = self.torch.empty(COPIED, dtype=self.torch.uint8, device=self.device)
        to = self.torch.empty_like(source)
        return 2 * source.numel() / self.times(lambda: to.copy_(source), {})[0]["ours"] / 1e3

    def launch(self):
        """Microseconds of the smallest kernel there is."""
        one = self.torch.zeros(1, device=self.device)
        return self.times(lambda: one.add_(1), {})[0]["ours"]

    def peaks(self, gigabytes):
        """Of the data sheet, or derived with the `gigabytes` a second that a copy reached."""
        name, multiprocessors = self.properties.name, self.properties.multi_processor_count
        megahertz = self.properties.clock_rate / 1e3
        return (gpus.sheet_peaks(name, multiprocessors)
                or gpus.derived_peaks(name, multiprocessors, self.capability, megahertz, gigabytes))
