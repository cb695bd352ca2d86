#include "request.h"

#include <algorithm>
#include <utility>

#include "message.h"
#include "setting.h"

namespace brume::batch {

namespace {

constexpr size_t kMostId = 255;  // what a file's name may have

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
  pictures_ *= static_cast<int64_t>(values.size());
  if (pictures_ > kMostPictures) {
    refuse(name, "the line's lists make more than " + std::to_string(kMostPictures) + " pictures",
           "split the line");
  }
  axes_.push_back({&field, std::move(values)});
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
  for (auto axis = axes_.rbegin(); axis != axes_.rend(); ++axis) {
    const auto count = static_cast<int64_t>(axis->values.size());
    apply(*axis->field, axis->values[static_cast<size_t>(number % count)], job.settings);
    number /= count;
  }
  return job;
}

}  // namespace brume::batch
