#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "brume/text/adapter_tags.h"
#include "message_of.h"
#include "temporary_directory.h"

namespace brume {
namespace {

TEST(AdapterTags, AreTakenOutOfThePrompt) {
  const TaggedPrompt none = split_adapter_tags("a <b> (fox:1.2) <lorax:1>");
  EXPECT_EQ(none.words, "a <b> (fox:1.2) <lorax:1>");
  EXPECT_TRUE(none.tags.empty());

  const TaggedPrompt some = split_adapter_tags("<lora:ink:0.8>a fox<lyco:v1.2 x:0.5:1>, snow <lora:soft>");
  EXPECT_EQ(some.words, "a fox, snow ");
  ASSERT_EQ(some.tags.size(), 3U);
  EXPECT_EQ(some.tags[0].name, "ink");
  EXPECT_EQ(some.tags[0].strength, (AdapterStrength{0.8, 0.8, {}}));
  EXPECT_EQ(some.tags[1].name, "v1.2 x");
  EXPECT_EQ(some.tags[1].strength, (AdapterStrength{0.5, 1, {}}));
  EXPECT_EQ(some.tags[2].strength, AdapterStrength{});
  EXPECT_EQ(tags_text(some.tags), "<lora:ink:0.8><lora:v1.2 x:0.5:1><lora:soft:1>");
}

TEST(AdapterTags, BrokenOnesAreNamed) {
  for (const std::string wrong : {"<lora:>", "<lora::1>", "<lora:a:>", "<lora:a:big>", "<lora:a:1:2:3>",
                                  "<lora:a:nan>", "<lora:a:1", "<lora:a:dyn=4>"}) {
    const std::string message =
        message_of([&] { split_adapter_tags("fox " + wrong); }, ExitCode::kInputInvalid);
    EXPECT_EQ(message.find(wrong), 0U) << message;
  }
}

class TaggedAdapter : public TemporaryDirectory {};

TEST_F(TaggedAdapter, LiesInTheDirectory) {
  std::ofstream(directory_ / "ink.v2.safetensors") << "x";
  std::ofstream(directory_ / ".safetensors") << "x";
  const std::filesystem::path inner = directory_ / "inner";
  std::filesystem::create_directory(inner);
  EXPECT_EQ(tagged_adapter({"ink.v2", {}}, directory_).file, directory_ / "ink.v2.safetensors");
  using namespace std::string_literals;
  for (const std::string& name : {"../ink.v2"s, "inner/../ink.v2"s, "/etc/passwd"s, "..\\ink.v2"s, ".."s,
                                  "."s, "ink.v2\0"s, "absent"s, directory_.string() + "/ink.v2"}) {
    const std::string message = message_of(
        [&] {
          tagged_adapter({name, {}}, inner);
        },
        ExitCode::kInputInvalid);
    EXPECT_EQ(message.find("<lora:"), 0U) << message;
  }
}

}  // namespace
}  // namespace brume
