"""The plan and the bound of every shape on three GPUs, on paper."""

from bench import bounds, entry, gpus, shapes

MIB = 1 << 20
# name: (of the data sheet, multiprocessors, shared bytes of a block and of a multiprocessor, capability, L2 bytes)
GPUS = {
    "A100": ("NVIDIA A100-SXM4-80GB", 108, 163 << 10, 164 << 10, 80, 40 * MIB),
    "RTX 4090": ("NVIDIA GeForce RTX 4090", 128, 99 << 10, 100 << 10, 89, 72 * MIB),
    "H200": ("NVIDIA H200", 132, 227 << 10, 228 << 10, 90, 50 * MIB),
}


def lines(library):
    for name, (sheet, *numbers) in GPUS.items():
        gpu, peaks = entry.BrumeGpu(*numbers), gpus.sheet_peaks(sheet, numbers[0])

        def text(shape, plan, gpu_name=name, peaks_now=peaks):
            bound = bounds.least_time(bounds.work_of(shape), peaks_now, bounds.LAUNCH_ON_PAPER)
            return (f"{gpu_name:9} {shape.model:10} {shape.label():38} {bound.microseconds:8.1f} us {bound.binds:12}  "
                    f"{plan}").rstrip()

        for shape in shapes.attentions():
            call = entry.attention_call(shape, "fp16")
            yield text(shape, entry.plan_text(library.brume_attention_plan, call, gpu))
        for shape in shapes.wide_attentions():
            yield text(shape, "cuBLAS by row blocks")
        for shape in shapes.group_norms():
            call = entry.norm_call(shape, "fp16", shapes.GROUPS)
            yield text(shape, entry.plan_text(library.brume_group_norm_plan, call, gpu))
        for shape in shapes.smalls():
            yield text(shape, "")
