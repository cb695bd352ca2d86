#include "brume/batch/picture_name.h"

#include <gtest/gtest.h>

#include "message_of.h"

namespace brume::batch {
namespace {

PictureLabel example(const std::string& prompt = "A red apple, \"ripe\"!") {
  PictureLabel label;
  label.key = *JobKey::from_hex("0123456789abcdef0123456789abcdef");
  label.index = 42;
  label.line = 7;
  label.id = "my id";
  label.recipe.prompt = prompt;
  label.recipe.seed = 5;
  label.recipe.width = 512;
  label.recipe.height = 64;
  label.recipe.sampling = {.sampler = "dpm++2m", .steps = 20, .cfg_scale = 7.5};
  return label;
}

std::string named(const std::string& text, const PictureLabel& label = example()) {
  return PictureNames(text).name_of(label);
}

TEST(Names, FieldsAndForms) {
  EXPECT_EQ(PictureNames().name_of(example()), "00042_5.png");
  EXPECT_EQ(named("{index:05d}_{seed}_{prompt:40}"), "00042_5_A_red_apple_ripe.png");
  EXPECT_EQ(named("{line}-{id}-{width}x{height}-{steps:03d}-{cfg_scale}-{sampler}-{key:8}.png"),
            "7-my_id-512x64-020-7.5-dpm_2m-01234567.png");
  EXPECT_EQ(named("{index:d} {cfg_scale:.2f} {cfg_scale:.0f}"), "42 7.50 8.png");
  EXPECT_EQ(named("{{{key}}}"), "{0123456789abcdef0123456789abcdef}.png");
  EXPECT_EQ(named("{prompt:4}"), "A_re.png");
  EXPECT_EQ(named("{prompt:2}"), "A.png");
  EXPECT_EQ(named("caf\xc3\xa9"), "caf\xc3\xa9.png");
}

TEST(Names, WrongTemplatesAreRefused) {
  for (const char* text : {"",
                           ".png",
                           "a/b",
                           "../{seed}",
                           "/{seed}",
                           "a\nb",
                           "a\x1b[2J",
                           "\xff",
                           ".hidden",
                           "-n",
                           "{",
                           "}",
                           "a}b",
                           "{seed",
                           "{}",
                           "{no}",
                           "{seed:}",
                           "{seed:5}",
                           "{seed:05}",
                           "{seed:5d}",
                           "{seed:021d}",
                           "{seed:00d}",
                           "{seed:0xd}",
                           "{prompt:0}",
                           "{prompt:05d}",
                           "{prompt:-1}",
                           "{prompt:201}",
                           "{prompt:.1f}",
                           "{cfg_scale:.f}",
                           "{cfg_scale:.7f}",
                           "{cfg_scale:2}",
                           "{seed!r}",
                           "{ seed}"})
    message_of([&] { PictureNames{text}; }, ExitCode::kUsage);
  EXPECT_EQ(message_of([] { PictureNames{"{name}"}; }, ExitCode::kUsage),
            "file names: there is no {name}; the fields are index line id seed prompt width height steps "
            "cfg_scale sampler key");
}

TEST(Names, HostilePromptsStayInTheDirectory) {
  for (const std::string& prompt :
       {std::string("../../etc/passwd"), std::string("/etc/passwd"), std::string(".."), std::string("."),
        std::string("-rf"), std::string("a\0b", 3), std::string("\n"), std::string("\x1b[2J"), std::string(),
        std::string(300, 'x'), std::string(300, '.'), std::string("\xff\xfe"), std::string("CON"),
        std::string("\u202e\u200b\ufeff\u2028\U0001f600"), std::string("\u0301"),
        std::string(".brume.all.abcdef.tmp")}) {
    for (const char* text : {"{prompt}", "{prompt:40}_{index}", "{id}"}) {
      PictureLabel label = example(prompt);
      label.id = prompt;
      const std::string name = named(text, label);
      EXPECT_LE(name.size(), 200U);
      EXPECT_EQ(name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"),
                std::string::npos)
          << name;
      EXPECT_FALSE(name.starts_with('.') || name.starts_with('-')) << name;
      EXPECT_TRUE(name.ends_with(".png") && name.size() > 4) << name;
    }
  }
  EXPECT_EQ(named("{prompt}", example("../../etc/passwd")), "_.._etc_passwd.png");
  EXPECT_EQ(named("{prompt}", example("\U0001f600 \u202e\u0301")),
            "01234567.png");  // nothing that has a name
}

TEST(Names, KeepTheLettersOfAnyScript) {
  EXPECT_EQ(
      named("{prompt:40}", example("\u043a\u0440\u0430\u0441\u043d\u0430\u044f \u043b\u0438\u0441\u0430!")),
      "\u043a\u0440\u0430\u0441\u043d\u0430\u044f_\u043b\u0438\u0441\u0430.png");
  EXPECT_EQ(named("{prompt:2}", example("\u732b\u304c\u597d\u304d")), "\u732b\u304c.png");
  EXPECT_EQ(named("{prompt}", example("\u0939\u093f\u0928\u094d\u0926\u0940")),
            "\u0939\u093f\u0928\u094d\u0926\u0940.png");
  EXPECT_EQ(named("{prompt}", example("e\u0301t\u00e9 \u202egnp.exe")), "e\u0301t\u00e9_gnp.exe.png");
  const std::string name = named("{prompt}", example([] {
                                   std::string text;
                                   for (int i = 0; i < 100; ++i) text += "\u732b";
                                   return text;
                                 }()));
  EXPECT_EQ(name.size(), 3 * 65 + 4U);  // whole characters
}

TEST(Names, LongOnesKeepTheirKey) {
  const PictureNames names("{prompt}");
  const PictureLabel label = example(std::string(300, 'x'));
  EXPECT_EQ(names.name_of(label, 8), std::string(187, 'x') + "_01234567.png");
  EXPECT_EQ(names.name_of(label, 32).size(), 200U);
  std::string accents = "y";
  for (int i = 0; i < 150; ++i) accents += "\xc3\xa9";
  EXPECT_EQ(named(accents).size(), 199U);
}

}  // namespace
}  // namespace brume::batch
