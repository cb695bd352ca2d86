#pragma once
#include <cstdint>

namespace brume {

/// Lets the tensors of the CPU live in one range of addresses, apart from all that malloc gives: in large
/// pages where the system has them, and what is freed stays for the next one. A denoising step asks for the
/// same maps again and again; malloc would map each of the large ones anew, page by page filled with zeros,
/// or, where it is told not to, leave holes that the small things between them keep from joining.
///
/// For the rest of the program's life; tensors that are there already stay where they are. Without effect
/// where addresses are rationed (ulimit -v, vm.overcommit_memory = 2), and with the address sanitizer, which
/// watches malloc.
void use_own_tensor_memory();

/// Gives the system back what is free of that range by now: after something that is done once.
void give_back_tensor_memory();

/// Bytes that are free there, and that the system counts as used, about.
int64_t kept_tensor_memory();

}  // namespace brume
