#pragma once
#include <c10/util/Exception.h>

#include <algorithm>
#include <string>
#include <vector>

#include "brume/pipeline/request.h"
#include "networks.h"

// What is done where a GPU has no memory for some work, and the notes of pictures.
namespace brume {

inline constexpr const char* kVaeFallbackNote = "vae_fallback fp32";
// What is done for want of memory leaves these.
inline constexpr const char* kSmallerBatchNote =
    "smaller_batch memory";                                         // to rounding what they would have been
inline constexpr const char* kVaeTilingNote = "vae_tiling memory";  // as --vae-tiling would have them
inline constexpr const char* kWeightsStreamedNote = "weights_streamed memory";  // bit for bit

inline void add_note(std::vector<std::string>& notes, const std::string& note) {
  if (std::find(notes.begin(), notes.end(), note) == notes.end()) notes.push_back(note);
}

/// What `work` gives, if need be in the room that all others leave, and then in that of weights. The CPU
/// knows no such error.
template <class Work>
auto with_room(Networks& networks, const Work& work) {
  for (int time = 0;; ++time) {
    try {
      return work();
    } catch (const c10::OutOfMemoryError&) {
      if (!networks.make_room(time)) throw;
    }
  }
}
/// The same of one of the networks.
template <class Network, class Use>
auto with_room(Networks& networks, Streamable<Network>& network, const Use& use) {
  return with_room(networks, [&] { return network.use(use); });
}

/// What `whole` gives, or where there is no room for that `tiled`, which is noted.
template <class Whole, class Tiled>
auto whole_or_tiled(Networks& networks, const Whole& whole, const Tiled& tiled,
                    std::vector<std::string>& notes) {
  // Twice: while another thread records, libtorch does not look for what it could give back.
  for (int attempt = 0; attempt < 2; ++attempt) {
    try {
      return whole();
    } catch (const c10::OutOfMemoryError&) {
      if (!networks.on_gpu()) throw;
    }
    networks.give_back();
  }
  auto result = with_room(networks, tiled);
  add_note(notes, kVaeTilingNote);
  return result;
}

}  // namespace brume
