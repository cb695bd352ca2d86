"""What GPUs can do at most, by their data sheets, or by their multiprocessors and clock where we have no sheet.

Of tensor cores: dense fp16 products summed in fp32. The clock is the boost clock at which the sheet counts its peak; a
GPU that runs faster for a while can beat its sheet.
"""

from typing import NamedTuple

# exp2, reciprocal, sine and their like: four a clock in each quadrant of a multiprocessor (CUDA C++ Programming Guide,
# "Throughput of Native Arithmetic Instructions", all of compute capability 8.0 to 12.0).
SPECIALS_A_CLOCK = 16


class Peaks(NamedTuple):
    products: float  # FLOP/s
    specials: float  # special functions a second
    bandwidth: float  # bytes/s
    source: str


class Sheet(NamedTuple):
    names: tuple  # as the driver gives them
    multiprocessors: int
    megahertz: int
    teraflops: float
    gigabytes: float  # a second
    source: str

    def peaks(self):
        specials = self.multiprocessors * SPECIALS_A_CLOCK * self.megahertz * 1e6
        return Peaks(self.teraflops * 1e12, specials, self.gigabytes * 1e9, self.source)


A100 = "NVIDIA A100 Tensor Core GPU data sheet, 2021; clock: A100 architecture whitepaper, table 4"
H100 = "NVIDIA H100 Tensor Core GPU architecture whitepaper, appendix A, and data sheet"
H200 = "NVIDIA H200 Tensor Core GPU data sheet; clock as the H100's"
SHEETS = (
    Sheet(("NVIDIA A100-SXM4-40GB", "NVIDIA A100-PCIE-40GB"), 108, 1410, 312, 1555, A100),
    Sheet(("NVIDIA A100-SXM4-80GB",), 108, 1410, 312, 2039, A100),
    Sheet(("NVIDIA A100 80GB PCIe",), 108, 1410, 312, 1935, A100),
    Sheet(("NVIDIA GeForce RTX 3090",), 82, 1695, 71, 936, "NVIDIA Ampere GA102 whitepaper, table 9"),
    Sheet(("NVIDIA GeForce RTX 4090",), 128, 2520, 165.2, 1008, "NVIDIA Ada architecture whitepaper, appendix A"),
    Sheet(("NVIDIA L40S",), 142, 2520, 362.05, 864, "NVIDIA L40S data sheet"),
    Sheet(("NVIDIA H100 80GB HBM3",), 132, 1830, 989.4, 3352, H100),
    Sheet(("NVIDIA H100 PCIe",), 114, 1620, 756, 2039, H100),
    Sheet(("NVIDIA H200",), 132, 1830, 989.4, 4800, H200),
    Sheet(("NVIDIA GeForce RTX 5090",), 170, 2407, 209.5, 1792, "NVIDIA RTX Blackwell whitepaper, appendix A"),
)
# FLOP a clock of a multiprocessor's tensor cores. GeForce cards sum in fp32 at half of the rate.
FLOP_A_CLOCK = {80: 2048, 86: 1024, 89: 1024, 90: 4096, 100: 8192, 103: 8192, 120: 1024}


def sheet_peaks(name, multiprocessors):
    """None where no sheet is for a GPU of this name and size (a part of one has its name too)."""
    for sheet in SHEETS:
        if name in sheet.names and multiprocessors == sheet.multiprocessors:
            return sheet.peaks()
    return None


def derived_peaks(name, multiprocessors, capability, megahertz, gigabytes):
    """From the clock that the driver tells and the `gigabytes` a second that a copy reached in this run, read and write
    counted: a bound of what was measured, not of the hardware."""
    source = f"{multiprocessors} multiprocessors at {megahertz:.0f} MHz, and the measured copy bandwidth"
    known = max((c for c in FLOP_A_CLOCK if c <= capability), default=min(FLOP_A_CLOCK))
    if known != capability:
        source += f"; tensor cores taken to be those of compute capability {known / 10}"
    flop = FLOP_A_CLOCK[known] // (2 if "GeForce" in name and known in (86, 89, 120) else 1)
    clocks = multiprocessors * megahertz * 1e6
    return Peaks(flop * clocks, SPECIALS_A_CLOCK * clocks, gigabytes * 1e9, source)
