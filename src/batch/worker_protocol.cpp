#include "brume/batch/worker_protocol.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <span>

#include "brume/base/error.h"
#include "brume/base/escape.h"
#include "brume/base/file.h"
#include "brume/batch/failed_job.h"

namespace brume::batch {

namespace {

using nlohmann::json;

constexpr const char* kWorker = "a batch's worker";
constexpr int64_t kMostPixels = 100'000'000;
constexpr size_t kMostHead = 1'000'000;  // bytes; it holds no prompt

[[noreturn]] void refuse_frame() {
  throw Error(ExitCode::kInputInvalid, kWorker, "sends what it cannot mean");
}

/// A field that counts something. Throws for a number that would spoil every sum that it goes into.
template <class Number>
Number amount(const json& fields, const char* name) {
  constexpr double kMost = 1e15;
  const json& field = fields.at(name);
  const auto value = field.get<double>();
  if (!(value >= 0 && value <= kMost)) refuse_frame();
  return field.get<Number>();
}

json use_fields(const WorkerUse& use) {
  return {{"steps", use.steps},     {"load", use.load},     {"text", use.text},
          {"denoise", use.denoise}, {"decode", use.decode}, {"peak_memory", use.peak_memory}};
}

WorkerUse read_use(const json& fields) {
  return {.steps = amount<int64_t>(fields, "steps"),
          .load = amount<double>(fields, "load"),
          .text = amount<double>(fields, "text"),
          .denoise = amount<double>(fields, "denoise"),
          .decode = amount<double>(fields, "decode"),
          .peak_memory = amount<int64_t>(fields, "peak_memory")};
}

json guidance_fields(const GuidanceSettings& guidance) {
  json fields = {{"scale", guidance.scale},
                 {"rescale", guidance.rescale},
                 {"start", guidance.interval.start},
                 {"end", guidance.interval.end},
                 {"told", guidance.told},
                 {"pag_scale", guidance.perturbed.scale},
                 {"pag_adaptive_scale", guidance.perturbed.adaptive_scale},
                 {"pag_layers", guidance.perturbed.layers}};
  if (guidance.mimic) fields["mimic"] = {guidance.mimic->mimic_scale, guidance.mimic->percentile};
  if (guidance.image_scale) fields["image_scale"] = *guidance.image_scale;
  return fields;
}

GuidanceSettings read_guidance(const json& fields) {
  GuidanceSettings guidance;
  guidance.scale = fields.at("scale");
  guidance.rescale = fields.at("rescale");
  guidance.interval = {fields.at("start"), fields.at("end")};
  guidance.told = fields.at("told");
  guidance.perturbed = {fields.at("pag_scale"), fields.at("pag_adaptive_scale"),
                        fields.at("pag_layers").get<std::vector<std::string>>()};
  if (fields.contains("mimic")) guidance.mimic = MimicThreshold{fields["mimic"].at(0), fields["mimic"].at(1)};
  if (fields.contains("image_scale")) guidance.image_scale = fields["image_scale"].get<double>();
  return guidance;
}

json picture_fields(const PictureFile& file) {
  // A path is bytes, JSON is not.
  const std::string& path = file.path.native();
  return {{"path", std::vector<uint8_t>(path.begin(), path.end())},
          {"digest", file.digest},
          {"width", file.size.width},
          {"height", file.size.height}};
}

PictureFile read_picture_fields(const json& fields) {
  const auto path = fields.at("path").get<std::vector<uint8_t>>();
  return {
      std::string(path.begin(), path.end()), fields.at("digest"), {fields.at("width"), fields.at("height")}};
}

json edit_fields(const PictureEdit& edit) {
  json fields = {{"picture", picture_fields(edit.picture)}};
  if (edit.strength) fields["strength"] = *edit.strength;
  if (edit.mask) fields["mask"] = picture_fields(*edit.mask);
  return fields;
}

PictureEdit read_edit(const json& fields) {
  PictureEdit edit{read_picture_fields(fields.at("picture")), {}, {}};
  if (fields.contains("strength")) edit.strength = fields["strength"].get<double>();
  if (fields.contains("mask")) edit.mask = read_picture_fields(fields["mask"]);
  return edit;
}

/// The line before the pixels; room for these where there are any. Throws for what write_made does not write.
MadeFrame read_head(const json& head) {
  MadeFrame frame;
  frame.use = read_use(head.at("use"));
  if (!head.at("ticket").is_number_unsigned()) refuse_frame();
  frame.made.ticket = head["ticket"];
  frame.made.failure = head.at("failure");
  frame.made.result.notes = head.at("notes").get<std::vector<std::string>>();
  if (!frame.made.failure.empty()) return frame;
  const auto width = amount<int64_t>(head, "width");
  const auto height = amount<int64_t>(head, "height");
  if (width < 1 || height < 1 || width > kMostPixels / height) refuse_frame();
  std::vector<uint8_t> pixels(static_cast<size_t>(3 * width * height));
  frame.made.result.picture = Picture{static_cast<int>(width), static_cast<int>(height), std::move(pixels)};
  return frame;
}

void write_line(int fd, const json& fields) {
  const std::string line = fields.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  write_all(fd, std::as_bytes(std::span(line)), kWorker);
}

WorkerMessage read_message(const std::string& line) {
  const json head = json::parse(line);
  if (head.contains("ready")) return WorkerReady{head["ready"].get<std::string>()};
  if (head.contains("error")) return WorkerFailure{bounded(head["error"].get<std::string>(), kMostReason)};
  return read_head(head);
}

}  // namespace

std::string work_line(const Work& work) {
  const Request& request = work.request;
  json line = {{"ticket", work.ticket},
               {"prompt", request.prompt},
               {"negative_prompt", request.negative_prompt ? json(*request.negative_prompt) : json()},
               {"width", request.width},
               {"height", request.height},
               {"seed", request.seeds.front()},
               {"rng", noise_kind_name(request.rng)},
               {"sampler", sampler_name(request.sampling.sampler)},
               {"spacing", spacing_name(request.sampling.spacing)},
               {"sigmas", request.sampling.sigmas},
               {"steps", request.sampling.steps},
               {"eta", request.sampling.eta},
               {"guidance", guidance_fields(request.guidance)},
               {"free_u", request.free_u ? json(free_u_text(*request.free_u)) : json()},
               {"clip_skip", request.clip_skip},
               {"compat", compat_name(request.reading.compat)},
               {"strict", request.reading.unread == Unread::kRefuse},
               {"vae_tiling", request.decode == DecodeMode::kTiled}};
  if (request.edit) {
    line["edit"] = edit_fields(*request.edit);
    line["edit"]["first_step"] = request.sampling.first_step;
  }
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
    request.rng = noise_kind_from_name(fields.at("rng").get<std::string>());
    request.sampling = {.sampler = sampler_from_name(fields.at("sampler").get<std::string>()),
                        .steps = fields.at("steps"),
                        .eta = fields.at("eta"),
                        .spacing = spacing_from_name(fields.at("spacing").get<std::string>()),
                        .sigmas = fields.at("sigmas")};
    request.guidance = read_guidance(fields.at("guidance"));
    if (!fields.at("free_u").is_null())
      request.free_u = free_u_from_text(fields["free_u"].get<std::string>());
    request.clip_skip = fields.at("clip_skip");
    request.reading.compat = compat_from_name(fields.at("compat").get<std::string>());
    request.reading.unread = fields.at("strict").get<bool>() ? Unread::kRefuse : Unread::kTell;
    request.decode = fields.at("vae_tiling").get<bool>() ? DecodeMode::kTiled : DecodeMode::kWhole;
    if (fields.contains("edit")) {
      request.edit = read_edit(fields["edit"]);
      request.sampling.first_step = fields["edit"].at("first_step");
    }
    return work;
  } catch (const json::exception& error) {
    throw Error(ExitCode::kInputInvalid, kWorker, std::string("cannot read its work: ") + error.what());
  }
}

void write_made(int fd, const Made& made, const WorkerUse& use) {
  const std::optional<Picture>& picture = made.result.picture;
  const json head = {{"ticket", made.ticket},
                     {"failure", made.failure},
                     {"notes", made.result.notes},
                     {"width", picture ? picture->width : 0},
                     {"height", picture ? picture->height : 0},
                     {"use", use_fields(use)}};
  write_line(fd, head);
  if (picture) write_all(fd, std::as_bytes(std::span(picture->pixels)), kWorker);
}

void write_ready(int fd, const std::string& device) { write_line(fd, {{"ready", device}}); }

void write_failure(int fd, const std::string& text) { write_line(fd, {{"error", text}}); }

std::optional<WorkerMessage> WorkerReader::next() {
  std::string line;
  if (!read_line(line)) return {};
  std::optional<WorkerMessage> message;
  try {
    message = read_message(line);
  } catch (const json::exception&) {
    broken_ = true;
  } catch (const Error&) {
    broken_ = true;
  }
  auto* const frame = message ? std::get_if<MadeFrame>(&*message) : nullptr;
  if (frame == nullptr || !frame->made.result.picture) return message;
  std::vector<uint8_t>& pixels = frame->made.result.picture->pixels;
  if (!read_exactly(pixels.data(), pixels.size())) return {};
  return message;
}

bool WorkerReader::read_line(std::string& line) {
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
    broken_ = buffer_.size() > kMostHead;
    if (broken_) return false;
  }
}

bool WorkerReader::read_exactly(uint8_t* to, size_t count) {
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
