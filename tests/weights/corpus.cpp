#include "corpus.h"
#include "times.h"

#include <array>
#include <utility>

namespace brume::testing_corpus {

std::string length_bytes(uint64_t value) {
  std::string out;
  for (int i = 0; i < 8; ++i) out += static_cast<char>(value >> (8 * i) & 0xFF);
  return out;
}

std::string safetensors_bytes(std::string_view header, std::string_view data) {
  return length_bytes(header.size()) + std::string(header) + std::string(data);
}

namespace {

using namespace std::string_literals;

constexpr uint64_t kMaxHeader = 100'000'000;

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape, uint64_t begin,
                  uint64_t end, const std::string& more = "") {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":[" +
         std::to_string(begin) + "," + std::to_string(end) + "]" + more + "}";
}
/// A tensor of four bytes.
std::string plain(const std::string& name, uint64_t begin = 0) {
  return entry(name, "U8", "[4]", begin, begin + 4);
}
std::string object(const std::string& members) { return "{" + members + "}"; }

class Corpus {
 public:
  void raw(const std::string& rule, const std::string& name, const std::string& message, std::string bytes) {
    add(rule, name, message, [bytes = std::move(bytes)] { return bytes; });
  }
  /// `message` is empty for a file that must be accepted.
  void file(const std::string& rule, const std::string& name, const std::string& message,
            const std::string& header, size_t data_bytes) {
    raw(rule, name, message, safetensors_bytes(header, std::string(data_bytes, '\1')));
  }
  void add(const std::string& rule, const std::string& name, const std::string& message,
           std::function<std::string()> bytes) {
    cases_.push_back(
        {rule, name, message.empty() ? Verdict::kAccept : Verdict::kReject, message, std::move(bytes)});
  }
  std::vector<Case> take() { return std::move(cases_); }

 private:
  std::vector<Case> cases_;
};

void add_length_rows(Corpus& c) {
  c.raw("S01", "empty", "too few", "");
  c.raw("S01", "one_byte", "too few", "\2");
  c.raw("S01", "seven_bytes", "too few", std::string(7, '\0'));
  c.raw("S01", "only_length_zero", "header is empty", length_bytes(0));
  c.raw("S02", "all_ones", "limit of 100000000", length_bytes(UINT64_MAX) + "{}");
  c.raw("S02", "top_bit", "limit of 100000000", length_bytes(uint64_t{1} << 63) + "{}");
  c.raw("S02", "above_32_bits", "limit of 100000000", length_bytes((uint64_t{1} << 32) + 2) + "{}");
  c.raw("S02", "wraps_with_prefix", "limit of 100000000", length_bytes(UINT64_MAX - 7) + "{}");
  auto padded = [](uint64_t size) {
    return [size] { return safetensors_bytes("{}" + std::string(size - 2, ' '), ""); };
  };
  c.add("S03", "at_the_cap", "", padded(kMaxHeader));
  c.add("S03", "above_the_cap", "limit of 100000000", padded(kMaxHeader + 1));
  c.raw("S03", "binary_megabytes", "limit of 100000000", length_bytes(100U << 20) + "{}");
  c.raw("S04", "one_past_the_end", "incomplete", length_bytes(3) + "{}");
  c.raw("S04", "cap_in_a_short_file", "incomplete", length_bytes(kMaxHeader) + "{}");
  c.raw("S04", "length_and_nothing", "incomplete", length_bytes(2));
}

void add_text_rows(Corpus& c) {
  const std::string good = object(plain("a"));
  c.file("S05", "bad_byte_in_name", "not valid JSON", object(plain("a\xff")), 4);
  c.file("S05", "overlong", "not valid JSON", object(plain("\xc0\xaf")), 4);
  c.file("S05", "surrogate", "not valid JSON", object(plain("\xed\xa0\x80")), 4);
  c.file("S05", "cut_sequence", "not valid JSON", object(plain("\xe2\x82")), 4);
  c.file("S05", "too_high", "not valid JSON", object(plain("\xf4\x90\x80\x80")), 4);
  c.file("S05", "in_metadata", "not valid JSON", object("\"__metadata__\":{\"k\":\"\xff\"}"), 0);
  c.file("S05", "outside_strings", "not valid JSON", good + "\xff", 4);
  c.file("S05", "good_utf8", "", object(plain("caf\xc3\xa9 \xf0\x9f\x8d\x8e")), 4);
  c.file("S05", "lone_surrogate_escape", "not valid JSON", object(plain("\\ud800")), 4);
  c.file("S06", "two_values", "not valid JSON", good + "{}", 4);
  c.file("S06", "letter_after", "not valid JSON", good + " x", 4);
  c.file("S06", "nul_after", "NUL", good + "\0"s, 4);
  c.file("S06", "hidden_after_nul", "NUL", good + "\0{\"evil\":1}"s, 4);
  c.file("S06", "form_feed_after", "not valid JSON", good + "\f", 4);
  c.file("S06", "no_break_space_after", "not valid JSON", good + "\xc2\xa0", 4);
  c.file("S06", "unclosed", "not valid JSON", good.substr(0, good.size() - 1), 4);
  c.file("S06", "trailing_comma", "not valid JSON", object(plain("a") + ","), 4);
  c.file("S06", "single_quotes", "not valid JSON", "{'a':1}", 0);
  c.file("S06", "comment", "not valid JSON", "{/**/}", 0);
  c.file("S06", "byte_order_mark", "not a JSON object", "\xef\xbb\xbf" + good, 4);
  c.file("S06", "whitespace_after", "", good + " \t\r\n", 4);
  c.file("S06", "nul_before", "NUL", "\0"s + good, 4);
  c.file("S07", "spaces_before", "", std::string(4096, ' ') + good, 4);
  c.file("S07", "all_whitespace_before", "", " \n\r\t" + good, 4);
  c.file("S07", "vertical_tab_before", "not a JSON object", "\v" + good, 4);
  c.file("S08", "array", "not a JSON object", "[1,2]", 0);
  c.file("S08", "number", "not a JSON object", "1", 0);
  c.file("S08", "string", "not a JSON object", "\"a\"", 0);
  c.file("S08", "null", "not a JSON object", "null", 0);
  c.file("S08", "only_spaces", "header is empty", "    ", 0);
}

void add_entry_rows(Corpus& c) {
  auto metadata = [](const std::string& value) { return object("\"__metadata__\":" + value); };
  c.file("S09", "absent", "", object(plain("a")), 4);
  c.file("S09", "strings", "", metadata("{\"format\":\"pt\",\"e\":\"\"}"), 0);
  c.file("S09", "null", "", metadata("null"), 0);
  c.file("S09", "integer_value", "metadata value \"k\"", metadata("{\"k\":1}"), 0);
  c.file("S09", "null_value", "metadata value \"k\"", metadata("{\"k\":null}"), 0);
  c.file("S09", "nested_value", "metadata value \"k\"", metadata("{\"k\":{}}"), 0);
  c.file("S09", "list_value", "metadata value \"k\"", metadata("{\"k\":[]}"), 0);
  c.file("S09", "is_list", "\"__metadata__\"", metadata("[]"), 0);
  c.file("S09", "is_string", "\"__metadata__\"", metadata("\"x\""), 0);
  c.file("S10", "number", "\"a\" is not a JSON object", "{\"a\":1}", 0);
  c.file("S10", "null", "\"a\" is not a JSON object", "{\"a\":null}", 0);
  c.file("S10", "list_form", "\"a\" is not a JSON object", "{\"a\":[\"U8\",[4],[0,4]]}", 4);
  c.file("S10", "empty", "\"a\": dtype is missing", "{\"a\":{}}", 0);
  c.file("S10", "no_dtype", "\"a\": dtype is missing", R"({"a":{"shape":[4],"data_offsets":[0,4]}})", 4);
  c.file("S10", "no_shape", "\"a\": shape is missing", R"({"a":{"dtype":"U8","data_offsets":[0,4]}})", 4);
  c.file("S10", "no_offsets", "\"a\": data_offsets is missing", R"({"a":{"dtype":"U8","shape":[4]}})", 4);
  c.file("S11", "string", "", object(entry("a", "U8", "[4]", 0, 4, ",\"x\":\"y\"")), 4);
  c.file("S11", "nested", "",
         object(entry("a", "U8", "[4]", 0, 4, R"(,"x":[1,{"y":null,"z":-1.5e3}],"w":true)")), 4);
  c.file("S11", "number_out_of_range", "out of range", object(entry("a", "U8", "[4]", 0, 4, ",\"x\":1e999")),
         4);
  for (const char* type :
       {"BOOL",    "F4",          "F6_E2M3",     "F6_E3M2", "U8",  "I8",  "F8_E5M2", "F8_E4M3",
        "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "I16",     "U16", "F16", "BF16",    "I32",
        "U32",     "F32",         "C64",         "F64",     "I64", "U64"}) {
    const std::string text = type;
    const size_t bits = text == "F4"              ? 4
                        : text.starts_with("F6_") ? 6
                        : text.starts_with("F8_") ? 8
                        : text.ends_with("16")    ? 16
                        : text.ends_with("32")    ? 32
                        : text.ends_with("64")    ? 64
                                                  : 8;
    c.file("S12", "known_" + text, "", object(entry("a", text, "[8]", 0, bits)), bits);
  }
  for (const char* type : {"f32", "F32 ", "", "FLOAT", "F128", "F8", "Q4_0", "F32\\u0000"})
    c.file("S12",
           "unknown_" + std::to_string(std::string(type).size()) + "_" + std::string(type).substr(0, 3),
           "\"a\": unknown dtype", object(entry("a", type, "[1]", 0, 4)), 4);
  c.file("S12", "number", "\"a\": dtype is not a string",
         R"({"a":{"dtype":1,"shape":[4],"data_offsets":[0,4]}})", 4);
  c.file("S12", "null", "\"a\": dtype is not a string",
         R"({"a":{"dtype":null,"shape":[4],"data_offsets":[0,4]}})", 4);
  c.file("S12", "object_form", "\"a\": dtype is not a string",
         R"({"a":{"dtype":{"U8":null},"shape":[4],"data_offsets":[0,4]}})", 4);
}

void add_shape_rows(Corpus& c) {
  const std::vector<std::pair<std::string, std::string>> bad{
      {"negative", "[-1,-4]"}, {"minus_zero", "[-0]"},
      {"fraction", "[4.0]"},   {"exponent", "[4e0]"},
      {"string", "[\"4\"]"},   {"null_dim", "[null]"},
      {"nested", "[[4]]"},     {"above_64_bits", "[18446744073709551616]"},
      {"is_string", "\"4\""},  {"is_number", "4"},
      {"is_null", "null"},     {"is_object", "{}"},
      {"boolean", "[true]"},   {"float_zero", "[0.0]"}};
  for (const auto& [name, shape] : bad)
    c.file("S13", name, "tensor \"a\": shape is not a list", object(entry("a", "U8", shape, 0, 4)), 4);
  c.file("S13", "leading_zero", "not valid JSON", object(entry("a", "U8", "[04]", 0, 4)), 4);
  c.file("S14", "scalar", "", object(entry("a", "F32", "[]", 0, 4)), 4);
  c.file("S14", "scalar_without_data", "\"a\": data_offsets", object(entry("a", "F32", "[]", 0, 0)), 0);
  c.file("S15", "zero_dim", "", object(entry("a", "F32", "[0,5]", 0, 0)), 0);
  c.file("S15", "zero_dim_with_data", "\"a\": data_offsets", object(entry("a", "F32", "[0]", 0, 4)), 4);
  auto offsets = [](const std::string& value) {
    return "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" + value + "}}";
  };
  for (const auto& [name, value] :
       std::vector<std::pair<std::string, std::string>>{{"none", "[]"},
                                                        {"one", "[4]"},
                                                        {"three", "[0,4,4]"},
                                                        {"negative", "[-4,0]"},
                                                        {"minus_zero", "[-0,4]"},
                                                        {"fraction", "[0.0,4.0]"},
                                                        {"strings", "[\"0\",\"4\"]"},
                                                        {"null", "null"},
                                                        {"number", "4"},
                                                        {"object", "{}"},
                                                        {"nested", "[[0,4]]"},
                                                        {"above_64_bits", "[0,18446744073709551616]"}})
    c.file("S16", name, "tensor \"a\": data_offsets is not", offsets(value), 4);
  c.file("S17", "reversed", "tensor \"a\": data_offsets [4, 0] end before",
         object(entry("z", "U8", "[4]", 0, 4) + "," + entry("a", "U8", "[4]", 4, 0)), 4);
  c.file("S17", "reversed_alone", "tensor \"a\"", object(entry("a", "U8", "[4]", 4, 0)), 4);
  c.file("S17", "wraps", "tensor \"a\": data_offsets",
         object(entry("z", "U8", "[1]", 0, 1) + "," + entry("a", "U8", "[4]", 1, 0)), 1);
}

void add_layout_rows(Corpus& c) {
  c.file("S18", "begins_late", "tensor \"a\": its data at byte 4 does not begin", object(plain("a", 4)), 8);
  c.file("S18", "empty_begins_late", "tensor \"a\"", object(entry("a", "U8", "[0]", 1, 1)), 1);
  c.file("S18", "far_away", "tensor \"a\"", object(entry("a", "U8", "[1]", UINT64_MAX - 1, UINT64_MAX)), 1);
  c.file("S19", "hole", "tensor \"b\": its data at byte 8 leaves a hole",
         object(plain("a") + "," + plain("b", 8)), 12);
  c.file("S19", "hole_of_one", "tensor \"b\"", object(plain("a") + "," + plain("b", 5)), 9);
  c.file("S19", "hole_out_of_order", "tensor \"a\"", object(plain("a", 9) + "," + plain("b", 0)), 13);
  c.file("S20", "overlap", "tensor \"b\": its data at byte 2 overlaps",
         object(plain("a") + "," + plain("b", 2)), 6);
  c.file("S20", "same_range", "tensor \"b\"", object(plain("a") + "," + plain("b")), 4);
  std::string ten = plain("t0");
  for (int i = 1; i < 10; ++i) ten += "," + plain("t" + std::to_string(i));
  c.file("S20", "ten_on_one_range", "tensor \"t1\"", object(ten), 4);
  c.file("S20", "inside_another", "tensor \"b\"",
         object(entry("a", "U8", "[8]", 0, 8) + "," + entry("b", "U8", "[2]", 2, 4)), 8);
  const std::string max = std::to_string(UINT64_MAX);
  c.file("S21", "wraps_to_zero", "\"a\": the size of its shape overflows",
         object(entry("a", "U8", "[4294967296,4294967296]", 0, 0)), 0);
  c.file("S21", "wraps_to_four", "\"a\": the size", object(entry("a", "U8", "[4611686018427387905,4]", 0, 4)),
         4);
  c.file("S21", "three_dims", "\"a\": the size", object(entry("a", "F32", "[2097152,2097152,4194304]", 0, 0)),
         0);
  c.file("S22", "bits_wrap", "\"a\": the size", object(entry("a", "F32", "[576460752303423488]", 0, 0)), 0);
  c.file("S22", "max_elements", "\"a\": the size", object(entry("a", "U8", "[" + max + "]", 0, 0)), 0);
  c.file("S22", "largest_without_wrap", "\"a\": data_offsets",
         object(entry("a", "U8", "[2305843009213693951]", 0, 4)), 4);
  c.file("S23", "zero_first", "", object(entry("a", "U8", "[0," + max + "," + max + "]", 0, 0)), 0);
  c.file("S23", "zero_last", "\"a\": the size", object(entry("a", "U8", "[" + max + ",2,0]", 0, 0)), 0);
  c.file("S23", "zero_middle", "", object(entry("a", "U8", "[" + max + ",0," + max + "]", 0, 0)), 0);
  c.file("S24", "f4_odd", "\"a\": its size of 12 bits", object(entry("a", "F4", "[3]", 0, 1)), 1);
  c.file("S24", "f6_three", "\"a\": its size of 18 bits", object(entry("a", "F6_E2M3", "[3]", 0, 2)), 2);
  c.file("S24", "f4_even", "", object(entry("a", "F4", "[2]", 0, 1)), 1);
  c.file("S24", "f6_four", "", object(entry("a", "F6_E3M2", "[4]", 0, 3)), 3);
  c.file("S25", "too_long", "\"a\": data_offsets [0, 5]", object(entry("a", "U8", "[4]", 0, 5)), 5);
  c.file("S25", "too_short", "\"a\": data_offsets [0, 3]", object(entry("a", "U8", "[4]", 0, 3)), 3);
  c.file("S25", "elements_for_bytes", "\"a\": data_offsets", object(entry("a", "F32", "[4]", 0, 4)), 4);
  c.file("S26", "one_byte_short", "describes 4 bytes of data, the file holds 3", object(plain("a")), 3);
  c.file("S26", "one_byte_more", "describes 4 bytes of data, the file holds 5", object(plain("a")), 5);
  c.file("S26", "no_data", "incomplete", object(plain("a")), 0);
  c.file("S26", "data_without_tensors", "describes 0 bytes", "{}", 1);
  c.file("S27", "empty", "", "{}", 0);
  c.file("S27", "only_metadata", "", "{\"__metadata__\":{\"a\":\"b\"}}", 0);
  c.file("S28", "zero_size_first", "", object(entry("z", "U8", "[0]", 0, 0) + "," + plain("a")), 4);
  c.file("S28", "zero_size_last", "", object(plain("a") + "," + entry("z", "U8", "[0]", 4, 4)), 4);
  c.file("S28", "two_zero_sizes", "",
         object(entry("y", "U8", "[0]", 4, 4) + "," + entry("z", "U8", "[0]", 4, 4) + "," + plain("a")), 4);
  c.file("S28", "zero_size_inside", "tensor \"z\"", object(plain("a") + "," + entry("z", "U8", "[0]", 2, 2)),
         4);
}

void add_strict_rows(Corpus& c) {
  c.file("S29", "tensor", "duplicate key \"a\"", object(plain("a") + "," + plain("a")), 4);
  c.file("S29", "auditor_and_loader", "duplicate key \"a\"",
         object(plain("a") + "," + entry("a", "F32", "[1]", 0, 4)), 4);
  c.file("S29", "escaped_spelling", "duplicate key \"a\"", object(plain("a") + "," + plain("\\u0061")), 4);
  c.file("S29", "metadata_twice", "duplicate key", R"({"__metadata__":{},"__metadata__":{}})", 0);
  c.file("S29", "inside_metadata", "duplicate key \"k\"", R"({"__metadata__":{"k":"1","k":"2"}})", 0);
  c.file("S29", "field", "duplicate key \"dtype\"",
         object(entry("a", "U8", "[4]", 0, 4, ",\"dtype\":\"U8\"")), 4);
  c.file("S29", "unknown_field", "duplicate key \"x\"",
         object(entry("a", "U8", "[4]", 0, 4, ",\"x\":1,\"x\":2")), 4);
  c.file("S29", "inside_unknown_field", "duplicate key \"y\"",
         object(entry("a", "U8", "[4]", 0, 4, R"(,"x":{"y":1,"y":2})")), 4);
  c.file("S30", "odd_header", "", object(entry("a", "F32", "[1]", 0, 4)) + " ", 4);
  c.file("S30", "narrow_first", "",
         object(entry("a", "U8", "[3]", 0, 3) + "," + entry("b", "F64", "[1]", 3, 11)), 11);
  c.file("S30", "header_order_is_not_data_order", "", object(plain("b", 4) + "," + plain("a", 0)), 8);
  c.raw("S31", "little_endian", "",
        safetensors_bytes(object(entry("a", "F32", "[2]", 0, 8)), "\x00\x00\x80\x3f\x00\x00\x00\xc0"s));
  auto nested = [](size_t levels) {
    return object(entry("a", "U8", "[4]", 0, 4, ",\"x\":" + times("[", levels) + times("]", levels)));
  };
  c.file("S32", "eight_levels", "", nested(6), 4);
  c.file("S32", "nine_levels", "limit of 8", nested(7), 4);
  c.file("S32", "hundred_levels", "limit of 8", nested(100), 4);
  c.file("S32", "hundred_thousand_open", "limit of 8",
         object(entry("a", "U8", "[4]", 0, 4, ",\"x\":" + times("[", 100'000))), 4);
  c.file("S32", "deep_objects", "limit of 8", times("{\"a\":", 1000), 0);
  c.file("S33", "nul_in_name", "NUL", object(plain("a\\u0000b")), 4);
  c.file("S33", "nul_in_metadata_key", "NUL", "{\"__metadata__\":{\"k\\u0000\":\"v\"}}", 0);
  c.file("S33", "nul_in_metadata_value", "NUL", "{\"__metadata__\":{\"k\":\"v\\u0000\"}}", 0);
  c.file("S33", "escape_sequence_in_name", "", object(plain("\\u001b[2J")), 4);
  c.file("S33", "escaped_in_message", "\\x1b[2J\\x0a", object(entry("\\u001b[2J\\n", "U8", "[4]", 0, 3)), 3);
  c.file("S33", "raw_newline_in_name", "not valid JSON", object(plain("a\nb")), 4);
  auto many = [](size_t count) {
    std::string all = entry("t0", "U8", "[0]", 0, 0);
    for (size_t i = 1; i < count; ++i) all += "," + entry("t" + std::to_string(i), "U8", "[0]", 0, 0);
    return object(all);
  };
  c.file("S34", "tensors_at_the_cap", "", many(65'536), 0);
  c.file("S34", "tensors_above_the_cap", "limit of 65536", many(65'537), 0);
  c.file("S34", "name_at_the_cap", "", object(plain(times("n", 1024))), 4);
  c.file("S34", "name_above_the_cap", "limit of 1024", object(plain(times("n", 1025))), 4);
  c.file("S34", "rank_8", "", object(entry("a", "U8", "[1,1,1,1,1,1,1,4]", 0, 4)), 4);
  c.file("S34", "rank_9", "limit of 8", object(entry("a", "U8", "[1,1,1,1,1,1,1,1,4]", 0, 4)), 4);
  std::string fields;
  for (int i = 0; i < 14; ++i) fields += ",\"x" + std::to_string(i) + "\":0";
  c.file("S34", "fields_above_the_cap", "limit of 16", object(entry("a", "U8", "[4]", 0, 4, fields)), 4);
  c.file("S34", "metadata_of_2_MiB", "", "{\"__metadata__\":{\"k\":\"" + times("v", 2U << 20) + "\"}}", 0);
  c.raw("S37", "f32_nan_and_infinity", "",
        safetensors_bytes(object(entry("a", "F32", "[2]", 0, 8)), "\x00\x00\xc0\x7f\x00\x00\x80\xff"s));
  c.raw("S37", "f16_infinity", "", safetensors_bytes(object(entry("a", "F16", "[1]", 0, 2)), "\x00\x7c"s));
}

}  // namespace

std::vector<Case> safetensors_corpus() {
  Corpus corpus;
  add_length_rows(corpus);
  add_text_rows(corpus);
  add_entry_rows(corpus);
  add_shape_rows(corpus);
  add_layout_rows(corpus);
  add_strict_rows(corpus);
  return corpus.take();
}

}  // namespace brume::testing_corpus
