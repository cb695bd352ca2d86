#pragma once
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brume {

/// One of a model's JSON objects (config.json and its like), read with types checked. Every error is
/// kModelInvalid and names the file, the key and the value. A key that is absent or null reads as the
/// default.
class ConfigFile {
 public:
  /// Reads `path` (at most 1 MiB, depth at most 16, no duplicate keys); the top level must be an object.
  explicit ConfigFile(const std::filesystem::path& path);
  /// Parses `text` within the same limits; `name` stands for the file in messages.
  ConfigFile(std::string_view text, std::string name);
  ~ConfigFile();
  ConfigFile(ConfigFile&&) noexcept;

  const std::string& name() const { return name_; }
  /// True if the key is there and is not null.
  bool has(std::string_view key) const;

  bool get_bool(std::string_view key, bool fallback) const;
  int64_t get_int(std::string_view key, int64_t fallback, int64_t least, int64_t most) const;
  int64_t require_int(std::string_view key, int64_t least, int64_t most) const;
  double get_number(std::string_view key, double fallback, double least, double most) const;
  std::string get_string(std::string_view key, std::string_view fallback) const;
  std::string require_string(std::string_view key) const;
  /// A list of integers, or one integer that stands for `count` equal ones. A list of another length is an
  /// error.
  std::vector<int64_t> get_ints(std::string_view key, int64_t fallback, size_t count) const;
  /// A list of lists, the i-th of `lengths[i]` integers, each at least 0. An integer stands for a list of
  /// equal ones, and one alone for all lists.
  std::vector<std::vector<int64_t>> get_int_lists(std::string_view key, int64_t fallback,
                                                  const std::vector<size_t>& lengths) const;
  /// As get_ints, for booleans.
  std::vector<bool> get_bools(std::string_view key, bool fallback, size_t count) const;
  /// A list of 1 to 16 integers, each at least 1.
  std::vector<int64_t> require_int_list(std::string_view key) const;
  std::vector<std::string> get_strings(std::string_view key) const;
  std::vector<double> get_numbers(std::string_view key) const;
  /// True if the value is a list of nothing.
  bool is_empty_list(std::string_view key) const;
  /// True if the value is a list with a list in it.
  bool is_nested(std::string_view key) const;
  /// The keys of the top level, in file order; nothing is marked as read.
  std::vector<std::string> keys() const;

  /// Puts a string in the place of whatever the key has.
  void set_string(const std::string& key, const std::string& value);
  /// The object as JSON.
  std::string text() const;

  /// Error unless the key is absent, null, or has one of these texts as its value (strings bare, others as
  /// JSON): how a setting that changes the arithmetic and that brume does not have is refused.
  void expect(std::string_view key, std::initializer_list<std::string_view> allowed) const;

  /// Appends "file: not used: a, b" where there are keys that nobody asked for; those that start with an
  /// underscore are left out.
  void note_unread(std::vector<std::string>& remarks) const;

  /// Throws the error "file: key: value is not supported; `remedy`".
  [[noreturn]] void reject(std::string_view key, std::string_view remedy) const;

 private:
  struct Impl;
  std::string name_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace brume
