#include "report.h"

#include <array>
#include <cstdio>
#include <map>
#include <string>

#include "brume/base/dtype.h"
#include "commands.h"
#include "count_text.h"
#include "say.h"
#include "standard_output.h"

namespace brume::cli {

using nlohmann::json;

namespace {

std::string seconds_text(double seconds) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.2f s", seconds);
  return text.data();
}

}  // namespace

bool print_report(const Request& request, const Tally& tally, double load_seconds, const Pipeline& pipeline) {
  const auto steps =
      static_cast<double>(request.sampling.steps_taken()) * static_cast<double>(tally.pictures.size());
  json report = {
      {"pictures", tally.pictures},
      {"complete", tally.pictures.size() == request.seeds.size()},
      {"model", pipeline.model().source().name()},
      {"prompt", request.prompt},
      {"width", request.width},
      {"height", request.height},
      {"steps", request.sampling.steps},
      {"cfg_scale", request.guidance.scale},
      {"sampler", sampler_name(request.sampling.sampler)},
      {"scheduler", request.sampling.sigmas.empty() ? std::string(spacing_name(request.sampling.spacing))
                                                    : request.sampling.sigmas},
      {"eta", request.sampling.eta},
      {"device", pipeline.gpu() != nullptr ? pipeline.gpu()->properties().device.str() : "cpu"},
      {"dtype", dtype_name(pipeline.dtype())},
      {"version", version_name()},
      {"steps_per_second", tally.times.denoise_seconds > 0 ? steps / tally.times.denoise_seconds : 0},
      {"load_ms", load_seconds * 1e3},
      {"text_encode_ms", tally.times.text_seconds * 1e3},
      {"denoise_ms", tally.times.denoise_seconds * 1e3},
      {"vae_decode_ms", tally.times.decode_seconds * 1e3},
  };
  if (request.edit) {
    report["init_img"] = request.edit->picture.path.string();
    if (request.edit->strength) report["strength"] = *request.edit->strength;
    if (request.edit->mask) report["mask"] = request.edit->mask->path.string();
    report["steps_taken"] = request.sampling.steps_taken();
    report["vae_encode_ms"] = tally.times.encode_seconds * 1e3;
  }
  return print_json(report);
}

void print_on_the_way(const Tally& tally) {
  std::map<std::string, int64_t> pictures;  // by note
  for (const json& picture : tally.pictures) {
    for (const json& note : picture.value("notes", json::array())) ++pictures[note.get<std::string>()];
  }
  for (const auto& [note, count] : pictures) say("on the way: " + note + ", " + count_text(count, "picture"));
}

void print_times(const Tally& tally, const StartTimes& start) {
  std::string text = "loaded in " + seconds_text(start.load);
  if (start.gpu) text += " (the GPU was open after " + seconds_text(*start.gpu) + ")";
  if (start.first_step) text += ", first step " + seconds_text(*start.first_step) + " after the start";
  say(text + ", text " + seconds_text(tally.times.text_seconds) + ", denoising " +
      seconds_text(tally.times.denoise_seconds) + ", decoding " + seconds_text(tally.times.decode_seconds));
}

}  // namespace brume::cli
