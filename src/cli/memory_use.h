#pragma once

namespace brume::cli {

/// Lets the program keep the memory that it frees, and have it in large pages where the system gives them on
/// request. A denoising step asks for the same maps again and again; by default each of the large ones is
/// mapped, filled with zeros page by page, and given back. To be called before the first tensor is made.
void keep_memory();

}  // namespace brume::cli
