#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>
#include <utility>

#include "brume/weights/safetensors.h"

namespace brume {

namespace {

constexpr size_t kMaxDepth = 8;
constexpr size_t kMaxKeys = 65'536;  // of the whole header, of the metadata, of any unknown object
constexpr size_t kMaxFields = 16;    // of one entry
constexpr size_t kMaxName = 1'024;
constexpr size_t kMaxRank = 8;
constexpr size_t kMaxWarnings = 16;
constexpr size_t kMaxShown = 120;  // bytes of a name in a message
constexpr std::string_view kMetadataKey = "__metadata__";

std::string shown(std::string_view name) {
  return '"' + std::string(name.substr(0, kMaxShown)) + (name.size() > kMaxShown ? "...\"" : "\"");
}

/// Builds the header from the parser's events, so that no tree of a 100 MB text is ever held. The events of
/// nlohmann's SAX interface; every one returns true or throws.
class HeaderEvents {
 public:
  HeaderEvents(std::string where, SafetensorsHeader& header) : where_(std::move(where)), header_(header) {}

  bool start_object(size_t /*elements*/) { return open(object_place()); }
  bool start_array(size_t /*elements*/) { return open(array_place()); }
  bool end_array() {
    stack_.pop_back();
    return true;
  }
  bool end_object() {
    if (stack_.back() == Place::kEntry) finish_entry();
    stack_.pop_back();
    keys_.pop_back();
    return true;
  }
  bool key(std::string& name);
  bool string(std::string& text);
  bool number_unsigned(uint64_t number);
  // A number that is negative, "-0" included: the reference refuses it too.
  bool number_integer(int64_t /*number*/) { return other_scalar(); }
  bool number_float(double /*number*/, const std::string& /*text*/) { return other_scalar(); }
  bool boolean(bool /*value*/) { return other_scalar(); }
  bool binary(nlohmann::json::binary_t& /*bytes*/) { return other_scalar(); }
  bool null() {
    // The reference reads "__metadata__": null as no metadata.
    const bool no_metadata = !stack_.empty() && stack_.back() == Place::kTop && key_ == kMetadataKey;
    return no_metadata || other_scalar();
  }
  bool parse_error(size_t position, const std::string& /*token*/, const nlohmann::json::exception& error) {
    const bool range = dynamic_cast<const nlohmann::json::out_of_range*>(&error) != nullptr;
    reject("the header is not valid JSON" + std::string(range ? " (a number is out of range)" : "") +
           " at byte " + std::to_string(position));
  }

 private:
  enum class Place { kTop, kMetadata, kEntry, kShape, kOffsets, kUnknown };

  /// The entry being read.
  struct Entry {
    std::string name;
    std::optional<StoredType> dtype;
    std::optional<std::vector<uint64_t>> shape;
    std::optional<std::vector<uint64_t>> offsets;
  };

  [[noreturn]] void reject(const std::string& problem) const {
    const bool in_entry =
        !stack_.empty() && std::find(stack_.begin(), stack_.end(), Place::kEntry) != stack_.end();
    const std::string tensor = in_entry ? "tensor " + shown(entry_.name) + ": " : "";
    throw Error(ExitCode::kModelInvalid, where_, tensor + problem, "fetch the file again");
  }
  [[noreturn]] void reject_value() const;
  bool open(Place place);
  Place object_place();
  Place array_place();
  bool known_field() const { return key_ == "dtype" || key_ == "shape" || key_ == "data_offsets"; }
  bool ignored() const {
    return !stack_.empty() &&
           (stack_.back() == Place::kUnknown || (stack_.back() == Place::kEntry && !known_field()));
  }
  bool other_scalar() {
    if (!ignored()) reject_value();
    return true;
  }
  void warn_unknown_field();
  void finish_entry();

  std::string where_;
  SafetensorsHeader& header_;
  std::vector<Place> stack_;                 // every object and array that is open
  std::vector<std::set<std::string>> keys_;  // of every object that is open
  std::string key_;                          // the last one read
  Entry entry_;
  size_t unknown_fields_ = 0;
};

void HeaderEvents::reject_value() const {
  if (stack_.empty()) reject("the header is not a JSON object");
  switch (stack_.back()) {
    case Place::kTop:
      reject(shown(key_) + " is not a JSON object");
    case Place::kMetadata:
      reject("the metadata value " + shown(key_) + " is not a string");
    case Place::kShape:
      reject("shape is not a list of non-negative whole numbers");
    case Place::kOffsets:
      reject("data_offsets is not two non-negative whole numbers");
    default:
      reject(key_ == "dtype" ? "dtype is not a string" : key_ + " is not a list");
  }
}

bool HeaderEvents::open(Place place) {
  if (stack_.size() == kMaxDepth)
    reject("the header is nested deeper than the limit of " + std::to_string(kMaxDepth));
  stack_.push_back(place);
  return true;
}

HeaderEvents::Place HeaderEvents::object_place() {
  Place place = Place::kUnknown;
  if (stack_.empty()) {
    place = Place::kTop;
  } else if (stack_.back() == Place::kTop) {
    place = key_ == kMetadataKey ? Place::kMetadata : Place::kEntry;
    if (place == Place::kEntry) entry_ = Entry{.name = key_, .dtype = {}, .shape = {}, .offsets = {}};
  } else if (!ignored()) {
    reject_value();
  }
  keys_.emplace_back();
  return place;
}

HeaderEvents::Place HeaderEvents::array_place() {
  if (ignored()) return Place::kUnknown;
  if (stack_.empty() || stack_.back() != Place::kEntry || key_ == "dtype") reject_value();
  (key_ == "shape" ? entry_.shape : entry_.offsets).emplace();
  return key_ == "shape" ? Place::kShape : Place::kOffsets;
}

bool HeaderEvents::key(std::string& name) {
  if (name.size() > kMaxName)
    reject("the name " + shown(name) + " has " + std::to_string(name.size()) +
           " bytes, more than the limit of " + std::to_string(kMaxName));
  if (name.find('\0') != std::string::npos) reject("the name " + shown(name) + " holds a NUL byte");
  const bool entry = stack_.back() == Place::kEntry;
  const size_t most = entry ? kMaxFields : kMaxKeys;
  if (keys_.back().size() == most) {
    const std::string what = stack_.back() == Place::kTop        ? " tensors"
                             : stack_.back() == Place::kMetadata ? " metadata entries"
                                                                 : " fields";
    reject("there are more" + what + " than the limit of " + std::to_string(most));
  }
  if (!keys_.back().insert(name).second) reject("duplicate key " + shown(name));
  key_ = std::move(name);
  if (entry && !known_field()) warn_unknown_field();
  return true;
}

void HeaderEvents::warn_unknown_field() {
  if (unknown_fields_++ < kMaxWarnings)
    header_.warnings.push_back("tensor " + shown(entry_.name) + ": unknown field " + shown(key_) +
                               " ignored");
  if (unknown_fields_ == kMaxWarnings + 1) header_.warnings.emplace_back("more unknown fields ignored");
}

bool HeaderEvents::string(std::string& text) {
  if (ignored()) return true;
  if (!stack_.empty() && stack_.back() == Place::kMetadata) {
    if (text.find('\0') != std::string::npos)
      reject("the metadata value " + shown(key_) + " holds a NUL byte");
    header_.metadata.emplace(key_, std::move(text));
    return true;
  }
  if (stack_.empty() || stack_.back() != Place::kEntry || key_ != "dtype") reject_value();
  entry_.dtype = stored_type_from_name(text);
  if (!entry_.dtype) reject("unknown dtype " + shown(text));
  return true;
}

bool HeaderEvents::number_unsigned(uint64_t number) {
  if (ignored()) return true;
  if (stack_.empty()) reject_value();
  if (stack_.back() == Place::kShape) {
    if (entry_.shape->size() == kMaxRank)
      reject("shape has more dimensions than the limit of " + std::to_string(kMaxRank));
    entry_.shape->push_back(number);
    return true;
  }
  if (stack_.back() != Place::kOffsets || entry_.offsets->size() == 2) reject_value();
  entry_.offsets->push_back(number);
  return true;
}

void HeaderEvents::finish_entry() {
  if (!entry_.dtype) reject("dtype is missing");
  if (!entry_.shape) reject("shape is missing");
  if (!entry_.offsets) reject("data_offsets is missing");
  if (entry_.offsets->size() != 2) reject("data_offsets is not two non-negative whole numbers");
  header_.tensors.push_back({.name = std::move(entry_.name),
                             .dtype = *entry_.dtype,
                             .shape = std::move(*entry_.shape),
                             .begin = (*entry_.offsets)[0],
                             .end = (*entry_.offsets)[1]});
}

/// The rules about one entry's size: it is a whole number of bytes, and the range holds exactly that.
void check_size(const StoredTensor& tensor, const std::string& where) {
  auto reject = [&](const std::string& problem) {
    throw Error(ExitCode::kModelInvalid, where, "tensor " + shown(tensor.name) + ": " + problem,
                "fetch the file again");
  };
  const std::string range = "[" + std::to_string(tensor.begin) + ", " + std::to_string(tensor.end) + "]";
  if (tensor.end < tensor.begin) reject("data_offsets " + range + " end before they begin");
  const std::optional<uint64_t> bits = stored_bits(tensor.dtype, tensor.shape);
  if (!bits) reject("the size of its shape overflows 64 bits");
  if (*bits % 8 != 0) reject("its size of " + std::to_string(*bits) + " bits is not a whole number of bytes");
  if (tensor.end - tensor.begin != *bits / 8)
    reject("data_offsets " + range + " do not match its dtype and shape, which take " +
           std::to_string(*bits / 8) + " bytes");
}

/// The rules about all entries together: they fill the data from its first byte to its last, one after the
/// other.
void check_layout(const std::vector<StoredTensor>& tensors, uint64_t data_bytes, const std::string& where) {
  uint64_t next = 0;
  for (const StoredTensor& tensor : tensors) {
    if (tensor.begin != next) {
      const std::string fault = tensor.begin < next ? " overlaps the tensor before it"
                                : next == 0         ? " does not begin at byte 0"
                                                    : " leaves a hole";
      throw Error(ExitCode::kModelInvalid, where,
                  "tensor " + shown(tensor.name) + ": its data at byte " + std::to_string(tensor.begin) +
                      fault + " (byte " + std::to_string(next) + " was due)",
                  "fetch the file again");
    }
    check_size(tensor, where);
    next = tensor.end;
  }
  if (next != data_bytes)
    throw Error(
        ExitCode::kModelInvalid, where,
        "the header describes " + std::to_string(next) + " bytes of data, the file holds " +
            std::to_string(data_bytes),
        next > data_bytes ? "the download is incomplete: fetch the file again" : "fetch the file again");
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view json, uint64_t data_bytes,
                                           const std::string& where) {
  auto reject = [&](const std::string& problem) {
    throw Error(ExitCode::kModelInvalid, where, problem, "fetch the file again");
  };
  // Two things that the parser takes and the format does not: a NUL, which ends its input and would hide what
  // follows, and a byte-order mark.
  if (const size_t nul = json.find('\0'); nul != std::string_view::npos)
    reject("the header holds a NUL byte at byte " + std::to_string(nul));
  const size_t first = json.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) reject("the header is empty");
  if (json[first] != '{') reject("the header is not a JSON object");
  SafetensorsHeader header;
  HeaderEvents events(where, header);
  nlohmann::json::sax_parse(json.begin(), json.end(), &events);
  std::sort(header.tensors.begin(), header.tensors.end(), [](const StoredTensor& a, const StoredTensor& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  check_layout(header.tensors, data_bytes, where);
  return header;
}

}  // namespace brume
