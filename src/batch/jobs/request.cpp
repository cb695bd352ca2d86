#include "request.h"

#include <algorithm>
#include <set>
#include <utility>

#include "message.h"
#include "setting.h"

namespace brume::batch {

namespace {

constexpr size_t kMostId = 255;  // what a file's name may have

/// A list of prompts is one of jobs; one of anything else draws the same again in other ways.
bool is_words(const Field& field) {
  const auto* text = std::get_if<Field::MemberOf<std::string>>(&field.member);
  return text != nullptr && (*text == &PictureSettings::prompt || *text == &PictureSettings::negative_prompt);
}

std::vector<bool> repeats_in(const std::vector<Setting>& values) {
  std::set<Setting> seen;
  std::vector<bool> repeats;
  repeats.reserve(values.size());
  for (const Setting& value : values) repeats.push_back(!seen.insert(value).second);
  return repeats;
}

}  // namespace

void Request::set_id(std::string id) {
  if (!id_.empty()) refuse("id", "given more than once", "give it once");
  if (id.empty()) refuse("id", "is empty", "give it a value or leave it out");
  if (id.find('\0') != std::string::npos) refuse("id", "holds a NUL character", "take it out");
  id_ = std::move(id);
}

void Request::add(const Field& field, std::vector<Setting> values) {
  const std::string name(field.name);
  if (std::any_of(axes_.begin(), axes_.end(), [&](const Axis& axis) { return axis.field == &field; }))
    refuse(name, "given more than once", "give it once");
  if (values.empty()) refuse(name, "is an empty list, which makes no picture", "leave it out");
  if (values.size() > kMostValues)
    refuse(name, "has more than " + std::to_string(kMostValues) + " values", "split the line");
  multiply(static_cast<int64_t>(values.size()), name);
  std::vector<bool> repeats = repeats_in(values);
  axes_.push_back({&field, std::move(values), std::move(repeats)});
}

void Request::repeat(int64_t times, const std::string& name) {
  if (times < 1 || times > kMostPictures)
    refuse(name, std::to_string(times) + " is not from 1 to " + std::to_string(kMostPictures));
  multiply(times, name);
  copies_ *= times;
}

void Request::multiply(int64_t times, const std::string& name) {
  pictures_ *= times;
  if (pictures_ > kMostPictures)
    refuse(name, "the line makes more than " + std::to_string(kMostPictures) + " pictures", "split it");
}

void Request::check_ids() const {
  const size_t longest =
      id_.empty() || pictures_ == 1 ? id_.size() : id_.size() + 1 + std::to_string(pictures_).size();
  if (longest > kMostId) {
    refuse("id",
           "has " + std::to_string(longest) + " bytes, more than the limit of " + std::to_string(kMostId),
           "shorten it");
  }
}

Job Request::picture(int64_t number) const {
  Job job;
  job.id = id_;
  if (!id_.empty() && pictures_ > 1) job.id += "-" + std::to_string(number + 1);
  job.copies = copies_;
  job.copy = number % copies_;
  number /= copies_;
  PictureSettings unswept;
  bool sweeps = false;
  for (auto axis = axes_.rbegin(); axis != axes_.rend(); ++axis) {
    const auto count = static_cast<int64_t>(axis->values.size());
    const auto which = static_cast<size_t>(number % count);
    apply(*axis->field, axis->values[which], job.settings);
    if (count == 1 || is_words(*axis->field))
      apply(*axis->field, axis->values[which], unswept);
    else
      sweeps = true;
    job.repeats = job.repeats || axis->repeats[which];
    number /= count;
  }
  if (sweeps) job.unswept = std::move(unswept);
  return job;
}

}  // namespace brume::batch
