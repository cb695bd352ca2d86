#include "brume/batch/worker_protocol.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <span>

#include "brume/base/error.h"
#include "brume/base/file.h"

namespace brume::batch {

namespace {

using nlohmann::json;

constexpr const char* kWorker = "a batch's worker";
constexpr size_t kMostPixels = 100'000'000;

}  // namespace

std::string work_line(const Work& work) {
  const Request& request = work.request;
  const json line = {{"ticket", work.ticket},
                     {"prompt", request.prompt},
                     {"negative_prompt", request.negative_prompt ? json(*request.negative_prompt) : json()},
                     {"width", request.width},
                     {"height", request.height},
                     {"seed", request.seeds.front()},
                     {"sampler", sampler_name(request.sampling.sampler)},
                     {"steps", request.sampling.steps},
                     {"eta", request.sampling.eta},
                     {"cfg_scale", request.guidance.scale},
                     {"cfg_rescale", request.guidance.rescale},
                     {"clip_skip", request.clip_skip},
                     {"vae_tiling", request.decode == DecodeMode::kTiled}};
  return line.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

Work read_work_line(const std::string& line) {
  try {
    const json fields = json::parse(line);
    Work work;
    work.ticket = fields.at("ticket");
    Request& request = work.request;
    request.prompt = fields.at("prompt");
    if (!fields.at("negative_prompt").is_null()) request.negative_prompt = fields["negative_prompt"];
    request.width = fields.at("width");
    request.height = fields.at("height");
    request.seeds = {fields.at("seed").get<uint64_t>()};
    request.sampling = {sampler_from_name(fields.at("sampler").get<std::string>()), fields.at("steps"),
                        fields.at("eta")};
    request.guidance = {fields.at("cfg_scale"), fields.at("cfg_rescale")};
    request.clip_skip = fields.at("clip_skip");
    request.decode = fields.at("vae_tiling").get<bool>() ? DecodeMode::kTiled : DecodeMode::kWhole;
    return work;
  } catch (const json::exception& error) {
    throw Error(ExitCode::kInputInvalid, kWorker, std::string("cannot read its work: ") + error.what());
  }
}

void write_made(int fd, const Made& made, int64_t steps) {
  const std::optional<Picture>& picture = made.result.picture;
  const json head = {{"ticket", made.ticket},
                     {"failure", made.failure},
                     {"notes", made.result.notes},
                     {"width", picture ? picture->width : 0},
                     {"height", picture ? picture->height : 0},
                     {"steps", steps}};
  const std::string line = head.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  write_all(fd, std::as_bytes(std::span(line)), kWorker);
  if (picture) write_all(fd, std::as_bytes(std::span(picture->pixels)), kWorker);
}

std::optional<MadeFrame> MadeReader::next() {
  std::string line;
  if (!read_line(line)) return {};
  const json head = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (head.is_discarded() || !head.contains("ticket")) return {};
  MadeFrame frame;
  frame.steps = head.value("steps", int64_t{0});
  frame.made.ticket = head["ticket"];
  frame.made.failure = head.value("failure", "");
  frame.made.result.notes = head.value("notes", std::vector<std::string>{});
  if (!frame.made.failure.empty()) return frame;
  Picture picture{head.value("width", 0), head.value("height", 0), {}};
  const auto pixels = static_cast<size_t>(picture.width) * static_cast<size_t>(picture.height);
  if (picture.width < 1 || picture.height < 1 || pixels > kMostPixels) return {};
  picture.pixels.resize(3 * pixels);
  if (!read_exactly(picture.pixels.data(), picture.pixels.size())) return {};
  frame.made.result.picture = std::move(picture);
  return frame;
}

bool MadeReader::read_line(std::string& line) {
  for (size_t end = buffer_.find('\n');; end = buffer_.find('\n')) {
    if (end != std::string::npos) {
      line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      return true;
    }
    std::array<char, 4096> more{};
    const ssize_t count = ::read(fd_, more.data(), more.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    buffer_.append(more.data(), static_cast<size_t>(count));
  }
}

bool MadeReader::read_exactly(uint8_t* to, size_t count) {
  const size_t there = std::min(count, buffer_.size());
  std::memcpy(to, buffer_.data(), there);
  buffer_.erase(0, there);
  for (size_t done = there; done < count;) {
    const ssize_t more = ::read(fd_, to + done, count - done);
    if (more < 0 && errno == EINTR) continue;
    if (more <= 0) return false;
    done += static_cast<size_t>(more);
  }
  return true;
}

}  // namespace brume::batch
