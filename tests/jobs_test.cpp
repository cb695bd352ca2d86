#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <fstream>
#include <limits>
#include <random>
#include <regex>
#include <sstream>
#include <thread>
#include <vector>

#include "brume/base/escape.h"
#include "brume/base/file.h"
#include "brume/batch/job_line.h"
#include "brume/batch/jobs_reader.h"
#include "brume/batch/occurrences.h"
#include "message_of.h"
#include "temporary_directory.h"

namespace brume::batch {
namespace {

#ifdef __SANITIZE_ADDRESS__
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

void write_text(int fd, std::string_view text) { write_all(fd, std::as_bytes(std::span(text)), "test"); }

/// A file in memory.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view text) : fd_(::memfd_create("jobs", MFD_CLOEXEC)) {
    write_text(fd_, text);
    ::lseek(fd_, 0, SEEK_SET);
  }
  ~MemoryFile() { ::close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

class Pipe {
 public:
  Pipe() { EXPECT_EQ(::pipe(ends_.data()), 0); }
  ~Pipe() {
    ::close(ends_[0]);
    close_input();
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  int output() const { return ends_[0]; }
  int input() const { return ends_[1]; }
  void close_input() {
    if (ends_[1] >= 0) ::close(ends_[1]);
    ends_[1] = -1;
  }

 private:
  std::array<int, 2> ends_{};
};

std::vector<JobOrBadLine> read_all(std::string_view text) {
  const MemoryFile file(text);
  JobsReader reader(file.fd(), "jobs");
  std::vector<JobOrBadLine> items;
  while (auto item = reader.next()) items.push_back(std::move(*item));
  return items;
}

/// Jobs as their JSON lines, bad lines as "LINE: REASON".
std::vector<std::string> shown(std::string_view text) {
  std::vector<std::string> lines;
  for (const JobOrBadLine& item : read_all(text)) {
    const auto* bad = std::get_if<BadLine>(&item);
    lines.push_back(bad != nullptr ? std::to_string(bad->line) + ": " + bad->reason
                                   : to_json_line(std::get<Job>(item)));
  }
  return lines;
}

using Lines = std::vector<std::string>;

std::string reason_of(std::string_view line) {
  const std::vector<JobOrBadLine> items = read_all(line);
  if (items.size() == 1 && std::holds_alternative<BadLine>(items[0])) {
    const BadLine& bad = std::get<BadLine>(items[0]);
    EXPECT_EQ(bad.line, 1);
    EXPECT_EQ(bad.reason, escape_control(bad.reason));
    return bad.reason;
  }
  ADD_FAILURE() << items.size() << " items of " << line.substr(0, 200);
  return {};
}

void expect_reason(std::string_view line, std::string_view reason) {
  EXPECT_EQ(reason_of(line), reason) << line;
}

void expect_in_reason(std::string_view line, std::string_view part) {
  const std::string reason = reason_of(line);
  EXPECT_NE(reason.find(part), std::string::npos) << line << "\n" << reason;
}

void expect_job(std::string_view line, std::string_view job) {
  EXPECT_EQ(shown(line), Lines{std::string(job)}) << line;
}

TEST(TextLines, AreThePromptWithoutBlanksAround) {
  expect_job("a fox", R"({"prompt":"a fox"})");
  expect_job(" \t a  fox \t\r\n", R"({"prompt":"a  fox"})");
  expect_job("caf\xc3\xa9 \xe7\x8b\x90", "{\"prompt\":\"caf\xc3\xa9 \xe7\x8b\x90\"}");
  expect_job("\"quotes\" stay, (so:1.3) [do] \\(these\\)",
             R"~({"prompt":"\"quotes\" stay, (so:1.3) [do] \\(these\\)"})~");
  expect_job("// is text", R"({"prompt":"// is text"})");
  expect_job("a # is text", R"({"prompt":"a # is text"})");
}

TEST(TextLines, DashesThatAreNoOptionStayText) {
  for (const std::string line :
       {"a -- b", "state--of--the--art", "a--n b", "a --", "a ---", "a --5 b", "a --, b", "a --b, c",
        "a - b -c", "a --(b)", "a \xe2\x80\x94n b", "a -s 20"})
    expect_job(line, "{\"prompt\":\"" + line + "\"}");
}

TEST(KohyaTails, EveryOption) {
  expect_job("a fox --n bad, ugly --w 512 --h 768 --d 7 --s 28 --l 7.5",
             R"({"prompt":"a fox","negative_prompt":"bad, ugly","width":512,"height":768,"steps":28,)"
             R"("cfg_scale":7.5,"seed":7})");
  expect_job("a fox\t--W  512   --N  bad -- worse  ",
             R"({"prompt":"a fox","negative_prompt":"bad -- worse","width":512})");
  expect_job(
      "a fox --steps 20 --cfg-scale=7 --sampler-name DDIM --negative_prompt bad --id x",
      R"({"id":"x","prompt":"a fox","negative_prompt":"bad","steps":20,"cfg_scale":7.0,"sampler":"DDIM"})");
  expect_job("a fox --ss k_euler_a --s 3", R"({"prompt":"a fox","steps":3,"sampler":"k_euler_a"})");
  expect_job("a fox --vae_tiling --s 1", R"({"prompt":"a fox","steps":1,"vae_tiling":true})");
  expect_job("a fox --vae-tiling False", R"({"prompt":"a fox","vae_tiling":false})");
  expect_job("--w 512 --d -1", R"({"width":512,"seed":-1})");
}

TEST(KohyaTails, SeveralSeedsAreSeveralPictures) {
  EXPECT_EQ(shown("a --d 3, 1,2"), (Lines{R"({"prompt":"a","seed":3})", R"({"prompt":"a","seed":1})",
                                          R"({"prompt":"a","seed":2})"}));
  expect_reason("a --l 7,5", "cfg_scale: \"7,5\" is not a number from 0 to 1000");
  expect_in_reason("a --d 1,,2", "seed: \"\" is not a whole number");
}

TEST(KohyaTails, WrongOnesAreRefusedAndNeverText) {
  expect_reason("a --zz 3",
                "--zz: unknown; known are id, prompt, negative_prompt (n), width (w), height "
                "(h), steps (s), cfg_scale (l), cfg_rescale, image_cfg_scale, guidance_start, guidance_end, "
                "mimic_scale, "
                "threshold_percentile, pag_scale, pag_adaptive_scale, pag_layers, freeu, sampler, scheduler, "
                "eta, seed (d), "
                "rng, init_img, strength (t), mask, clip_skip, vae_tiling, compat, strict");
  expect_in_reason("a --step 3", "--step: unknown, the nearest is steps; known are");
  expect_in_reason("a --w-512", "--w-512: unknown");
  expect_in_reason("a --wow", "--wow: unknown");
  expect_in_reason("a --sitting on a mat", "--sitting: unknown");
  expect_reason("a --w 512 px", "width: \"512 px\" is not a whole number from 1 to 16384");
  expect_reason("a --w 0", "width: \"0\" is not a whole number from 1 to 16384");
  expect_reason("a --n --w 1", "--n: its value is missing; give it one or take it out");
  expect_reason("a --w=", "--w: its value is missing; give it one or take it out");
  expect_reason("a --w 1 --width 2", "width: given more than once; give it once");
  expect_reason("a --prompt b", "prompt: given more than once; give it once");
  for (const std::string name : {"ow", "oh", "nw", "nh", "ct", "cl", "nl", "c", "am", "dsd1", "glus"})
    expect_reason("a --" + name + " 1",
                  "--" + name + ": brume cannot do this for one picture; take it out of the line");
  expect_in_reason("a --f x.png", "give the picture an id");
}

TEST(OptionLines, EveryOption) {
  expect_job(R"(--prompt "a fox" --negative_prompt 'bad "ones"' --seed 5 --steps 20 --cfg_scale 9.5 )"
             R"(--sampler_name "Euler a" --width 512 --height 768)",
             R"({"prompt":"a fox","negative_prompt":"bad \"ones\"","width":512,"height":768,"steps":20,)"
             R"("cfg_scale":9.5,"sampler":"Euler a","seed":5})");
  expect_job(R"(--prompt=x --cfg-rescale 0.7 --eta 1 --clip-skip 2 --vae_tiling --id=n-1)",
             R"({"id":"n-1","prompt":"x","cfg_rescale":0.7,"eta":1.0,"clip_skip":2,"vae_tiling":true})");
  expect_job("--prompt=x --compat diffusers --strict",
             R"({"prompt":"x","compat":"diffusers","strict":true})");
  expect_job("a fox --rng cuda --guidance-stop 0.5 --freeu 1,2,1,1 --pag_scale 3",
             R"({"prompt":"a fox","guidance_end":0.5,"pag_scale":3.0,"freeu":"1,2,1,1","rng":"cuda"})");
  expect_job("a fox --compat sdcpp", R"({"prompt":"a fox","compat":"sdcpp"})");
  expect_job("a fox --init-img a.png --mask-image m.png --img-cfg-scale 2",
             R"({"prompt":"a fox","image_cfg_scale":2.0,"init_img":"a.png","mask":"m.png"})");
  expect_in_reason("a fox --wildcards w", "--wildcards: brume cannot do this for one picture; it holds for");
  expect_job("--steps 020", R"({"steps":20})");
  EXPECT_EQ(shown("--seed 1,2"), (Lines{R"({"seed":1})", R"({"seed":2})"}));
}

TEST(OptionLines, WordsAreAShells) {
  expect_job("--prompt a red   fox -- here --steps 3", R"({"prompt":"a red fox -- here","steps":3})");
  expect_job(R"(--prompt "--weird"' one')", R"({"prompt":"--weird one"})");
  expect_job(R"~(--prompt "a \"b\" \\ \(c\)" )~", R"~({"prompt":"a \"b\" \\ \\(c\\)"})~");
  expect_job(R"~(--prompt \--a\ b\(\))~", R"~({"prompt":"--a b()"})~");
  expect_job(R"(--prompt 'a \n b')", R"({"prompt":"a \\n b"})");
  expect_job(R"(--prompt "" --negative_prompt '')", R"({"prompt":"","negative_prompt":""})");
  expect_job(R"(--prompt="a=b c")", R"({"prompt":"a=b c"})");
  expect_in_reason("--prompt a dog's bowl", "a ' is never closed; close it");
  expect_in_reason("--prompt \"a", "a \" is never closed");
  expect_in_reason("--prompt a\\", "ends in a \\");
}

TEST(OptionLines, WrongOnesAreRefused) {
  expect_reason("--prompt --steps 2", "--prompt: its value is missing; give it one or take it out");
  expect_in_reason("--stepz 2", "--stepz: unknown, the nearest is steps");
  expect_reason("--steps 20 30", "steps: \"20 30\" is not a whole number from 1 to 1000");
  expect_in_reason("-- a", "--: is not an option; a line that begins with -- has options only");
  expect_in_reason("---", "---: is not an option");
  expect_in_reason("--a! 2", "--a!: is not an option");
  expect_reason("--seed 1 --seed 2", "seed: given more than once; give it once");
  expect_reason("--id a --id b", "id: given more than once; give it once");
  expect_reason("--id ''", "id: is empty; give it a value or leave it out");
  expect_in_reason("--vae_tiling yes", "vae_tiling: \"yes\" is not true or false");
  expect_reason("--n_iter 3x", "--n_iter: \"3x\" is not a whole number");
  expect_reason("--n_iter 0", "--n_iter: 0 is not from 1 to 1000000");
  expect_reason("--n_iter", "--n_iter: its value is missing; give it one or take it out");
  expect_reason("--batch_size 2000 --n_iter 2000",
                "--n_iter: the line makes more than 1000000 pictures; split it");
  for (const std::string name :
       {"sd_model", "outpath_samples", "styles", "seed_resize_from_h", "seed_resize_from_w", "sampler_index",
        "subseed", "subseed_strength", "restore_faces", "tiling", "do_not_save_samples"}) {
    expect_in_reason("--prompt a --" + name + " 1", "--" + name + ": brume cannot do this for one picture; ");
  }
}

TEST(JsonLines, EveryField) {
  const std::string all =
      R"({"id":"x","prompt":"a\nb","negative_prompt":"","width":512,"height":768,"steps":20,"cfg_scale":7.5,)"
      R"("cfg_rescale":0.7,"sampler":"ddpm","eta":0.5,"seed":9223372036854775807,"clip_skip":2,"vae_tiling":false})";
  expect_job(all, all);
  expect_job(R"({"guidance-scale":7,"num_inference_steps":3,"sampling_method":"a","negative":"n"})",
             R"({"negative_prompt":"n","steps":3,"cfg_scale":7.0,"sampler":"a"})");
  expect_job(R"({"ID": 7, "Guidance_Rescale": 1, "sampling-steps": 4, "sampler_name": "b", "seed": -1})",
             R"({"id":"7","steps":4,"cfg_rescale":1.0,"sampler":"b","seed":-1})");
  expect_job("{}", "{}");
  expect_job(R"({"prompt": " kept "})", R"({"prompt":" kept "})");
  expect_job(R"({"prompt":"a","width":null,"id":null})", R"({"prompt":"a"})");
  expect_job(R"({"_failed":"why","prompt":"a","_x":{"a":[1,{"b":2}],"a":null},"_y":[[1]],"_x":1e5})",
             R"({"prompt":"a"})");
}

TEST(JsonLines, TheCommandLinesNamesAreKnown) {
  std::ifstream file(BRUME_PROJECT "/src/cli/engine_options.cpp");
  std::stringstream source;
  source << file.rdbuf();
  const std::string whole = source.str();
  std::string text;
  for (const char* function : {"void add_guidance_options", "void add_picture_options"}) {
    const size_t begin = whole.find(function);
    text += whole.substr(begin, whole.find("\n}", begin) - begin);
  }
  const std::regex option("add_(?:option|flag)\\(\\s*\"([^\"]+)\"");
  const std::regex name("--([a-z-]+)");
  size_t names = 0;
  for (std::sregex_iterator one(text.begin(), text.end(), option), none; one != none; ++one) {
    const std::string all = (*one)[1];
    for (std::sregex_iterator found(all.begin(), all.end(), name); found != none; ++found, ++names)
      expect_in_reason("{\"" + found->str(1) + "\": {}}", "is an object; give it");
  }
  EXPECT_EQ(names, 43U);
}

TEST(JsonLines, TypesAndRanges) {
  expect_reason(R"({"steps":0})", "steps: 0 is not a whole number from 1 to 1000");
  expect_reason(R"({"steps":1001})", "steps: 1001 is not a whole number from 1 to 1000");
  EXPECT_EQ(shown(R"({"steps":20.0})"), shown(R"({"steps":20})"));  // as pandas writes it
  expect_reason(R"({"steps":20.5})", "steps: 20.5 is not a whole number from 1 to 1000");
  expect_reason(R"({"steps":2000.0})", "steps: 2000 is not a whole number from 1 to 1000");
  expect_in_reason(R"({"seed":9223372036854775808.0})", "is not a whole number");
  expect_reason(R"({"steps":"20"})",
                "steps: \"20\" is not a whole number from 1 to 1000; leave out the quotes");
  expect_reason(R"({"steps":true})", "steps: true is not a whole number from 1 to 1000");
  expect_reason(R"({"width":16385})", "width: 16385 is not a whole number from 1 to 16384");
  expect_reason(R"({"seed":18446744073709551615})",
                "seed: 18446744073709551615 is not a whole number from -1 to 9223372036854775807");
  expect_reason(R"({"seed":-2})", "seed: -2 is not a whole number from -1 to 9223372036854775807");
  expect_in_reason(R"({"seed":9223372036854775808})", "is not a whole number from -1 to 9223372036854775807");
  expect_in_reason(R"({"seed":18446744073709551616})",
                   "is not a whole number from -1 to 9223372036854775807");
  expect_reason(R"({"eta":1.5})", "eta: 1.5 is not a number from 0 to 1");
  expect_reason(R"({"image_cfg_scale":0.5})", "image_cfg_scale: 0.5 is not a number from 1 to 1000");
  expect_reason(R"({"cfg_rescale":-0.1})", "cfg_rescale: -0.1 is not a number from 0 to 1");
  expect_reason(R"({"cfg_scale":1e999})", "cfg_scale: a number is out of range");
  expect_reason(R"({"cfg_scale":1000.5})", "cfg_scale: 1000.5 is not a number from 0 to 1000");
  expect_reason(R"({"clip_skip":101})", "clip_skip: 101 is not a whole number from 1 to 100");
  expect_reason(R"({"prompt":5})", "prompt: 5 is not a text");
  expect_reason(R"({"prompt":{"a":1}})", "prompt: is an object; give it a text");
  expect_reason(R"({"vae_tiling":1})", "vae_tiling: 1 is not true or false");
  expect_reason(R"({"prompt":"a\u0000b"})", "prompt: holds a NUL character; take it out");
  expect_reason("{\"prompt\":\"" + std::string(65537, 'a') + "\"}",
                "prompt: has 65537 bytes, more than the limit of 65536; shorten it");
  EXPECT_EQ(shown("{\"prompt\":\"" + std::string(65536, 'a') + "\"}").at(0).size(), 65536 + 13U);
  expect_reason(R"({"id":1.5})", "id: is not a text or a whole number");
  expect_reason(R"({"id":["a"]})", "id: is a list; give it a text or a whole number");
  expect_reason(R"({"id":""})", "id: is empty; give it a value or leave it out");
  expect_in_reason("{\"id\":\"" + std::string(256, 'a') + "\"}",
                   "id: has 256 bytes, more than the limit of 255");
  expect_in_reason("{\"id\":\"" + std::string(254, 'a') + "\",\"seed\":[1,2]}", "id: has 256 bytes");
}

TEST(JsonLines, KeysAndSyntax) {
  expect_in_reason(R"({"guidence_scale":7})",
                   "guidence_scale: unknown, the nearest is guidance_scale; known are id");
  expect_in_reason(R"({"":7})", "unknown; known are id");
  expect_in_reason(R"({"model":"x"})", "model: brume cannot do this for one picture; one model draws all");
  expect_in_reason("{\"" + std::string(100000, 'x') + "\":7}", "...: unknown");
  expect_reason(R"({"steps":7,"steps":7})", "steps: given more than once; give it once");
  expect_reason(R"({"steps":7,"num-inference-steps":7})", "steps: given more than once; give it once");
  expect_reason(R"({"id":7,"id":8})", "id: given more than once; give it once");
  for (const char* line :
       {"{", "{red|blue} fox", R"({"steps")", R"({"steps":7},)", R"({"steps":7} {"steps":8})",
        R"({"steps":7 8})", R"({"steps":NaN})", R"({'steps':7})", "{}}", R"({"prompt":"a)"})
    expect_in_reason(line, "not valid JSON at byte ");
  expect_in_reason("{red|blue} fox", "goes into {\"prompt\": \"{...\"}");
  expect_in_reason("{\"_a\":" + std::string(100000, '['), "JSON nested deeper than 16");
  expect_reason(R"({"seed":[1,[2]]})", "seed: a list in a list; write one list");
  expect_reason(R"({"seed":[1,{}]})",
                "seed: is an object; give it a whole number from -1 to 9223372036854775807");
  expect_reason(R"({"seed":[1,null]})", "seed: null in a list; leave it out");
}

TEST(Sweeps, TheFirstKeyTurnsSlowest) {
  EXPECT_EQ(
      shown(R"({"prompt":"a","seed":[1,2,3],"cfg_scale":[5,7.5]})"),
      (Lines{R"({"prompt":"a","cfg_scale":5.0,"seed":1})", R"({"prompt":"a","cfg_scale":7.5,"seed":1})",
             R"({"prompt":"a","cfg_scale":5.0,"seed":2})", R"({"prompt":"a","cfg_scale":7.5,"seed":2})",
             R"({"prompt":"a","cfg_scale":5.0,"seed":3})", R"({"prompt":"a","cfg_scale":7.5,"seed":3})"}));
  EXPECT_EQ(shown(R"({"cfg_scale":[5,7],"prompt":["a","b"],"vae_tiling":[true]})"),
            (Lines{R"({"prompt":"a","cfg_scale":5.0,"vae_tiling":true})",
                   R"({"prompt":"b","cfg_scale":5.0,"vae_tiling":true})",
                   R"({"prompt":"a","cfg_scale":7.0,"vae_tiling":true})",
                   R"({"prompt":"b","cfg_scale":7.0,"vae_tiling":true})"}));
}

TEST(Sweeps, AListOfNumbersIsOneSchedule) {
  for (const char* key : {"sigmas", "scheduler"})
    expect_job(R"({"prompt":"a",")" + std::string(key) + R"(":[14.6, 4.9, 1, 0.5]})",
               R"({"prompt":"a","scheduler":"14.6,4.9,1,0.5"})");
  EXPECT_EQ(shown(R"({"sigmas":["9,3,1","karras"]})"),
            (Lines{R"({"scheduler":"9,3,1"})", R"({"scheduler":"karras"})"}));
  for (const char* mixed : {R"({"sigmas":[9,"3"]})", R"({"sigmas":["9",3]})"})
    expect_reason(mixed, "sigmas: holds numbers and texts; write a list of numbers, or of texts");
  expect_reason(R"({"sigmas":[[9,3],[5,1]]})", "sigmas: a list in a list; write one list");
  expect_reason(R"({"sigmas":[]})", "scheduler: is an empty list, which makes no picture; leave it out");
  expect_reason(R"({"sampler":[1,2]})", "sampler: 1 is not a text");
}

TEST(Sweeps, NumberTheIds) {
  EXPECT_EQ(shown(R"({"seed":[4,5],"id":"x"})"),
            (Lines{R"({"id":"x-1","seed":4})", R"({"id":"x-2","seed":5})"}));
  EXPECT_EQ(shown(R"({"seed":[4],"id":"x"})"), (Lines{R"({"id":"x","seed":4})"}));
  EXPECT_EQ(shown("a --d 4,5 --id x").at(1), R"({"id":"x-2","prompt":"a","seed":5})");
}

std::string list_of(int64_t count) {
  std::string list = "[1";
  for (int64_t i = 1; i < count; ++i) list += ",1";
  return list + "]";
}

/// What A1111's wiki shows of its lines.
TEST(OptionLines, OfA1111MayAskForCopies) {
  const std::vector<JobOrBadLine> items = read_all(
      "--prompt \"photo of sunset\" --batch_size 2 --n_iter 3 --seed 9 --do_not_save_grid\n"
      "{\"prompt\":\"a\",\"batch_count\":2,\"outpath_grids\":{\"any\":[1]},\"id\":\"x\"}\n"
      "{\"prompt\":\"a\",\"n_iter\":[1,2]}\n{\"prompt\":\"a\",\"n_iter\":1.5}");
  ASSERT_EQ(items.size(), 10U);
  for (int64_t i = 0; i < 6; ++i) {
    const Job& job = std::get<Job>(items[static_cast<size_t>(i)]);
    EXPECT_EQ(job.settings.prompt, "photo of sunset");
    EXPECT_EQ(job.settings.seed, 9);  // who gives pictures their seeds counts on from it
    EXPECT_EQ(std::pair(job.copy, job.copies), std::pair(i, int64_t{6}));
  }
  EXPECT_EQ(std::get<Job>(items[7]).id, "x-2");
  EXPECT_EQ(std::get<BadLine>(items[8]).reason, "n_iter: is a list; give it a whole number");
  EXPECT_EQ(std::get<BadLine>(items[9]).reason, "n_iter: is not a whole number");
}

TEST(Sweeps, KnowWhatTheirPicturesShare) {
  const std::vector<JobOrBadLine> items = read_all(R"({"prompt":["a","b"],"steps":[5,5,6],"width":64})");
  ASSERT_EQ(items.size(), 6U);
  for (size_t i = 0; i < items.size(); ++i) {
    const Job& job = std::get<Job>(items[i]);
    ASSERT_TRUE(job.unswept);
    EXPECT_EQ(job.unswept->prompt, i < 3 ? "a" : "b");
    EXPECT_EQ(job.unswept->width, 64);
    EXPECT_FALSE(job.unswept->steps);
    EXPECT_EQ(job.repeats, i % 3 == 1);
  }
  EXPECT_FALSE(std::get<Job>(read_all(R"({"prompt":["a","b"],"width":64})").front()).unswept);
}

TEST(Sweeps, Limits) {
  expect_reason(R"({"seed":[]})", "seed: is an empty list, which makes no picture; leave it out");
  expect_reason("{\"seed\":" + list_of(100'001) + "}", "seed: has more than 100000 values; split the line");
  expect_reason("{\"seed\":" + list_of(500'000) + "}", "seed: has more than 100000 values; split the line");
  expect_reason("{\"seed\":" + list_of(1000) + ",\"steps\":" + list_of(1001) + "}",
                "steps: the line makes more than 1000000 pictures; split it");
}

TEST(Sweeps, AMillionPicturesAreMadeOneAtATime) {
  const MemoryFile file("{\"seed\":" + list_of(1000) + ",\"steps\":" + list_of(1000) + "}\nb");
  JobsReader reader(file.fd(), "jobs");
  int64_t pictures = 0;
  while (auto item = reader.next()) {
    const Job& job = std::get<Job>(*item);
    ASSERT_EQ(job.index, ++pictures);
    ASSERT_EQ(job.line, pictures <= 1'000'000 ? 1 : 2);
  }
  EXPECT_EQ(pictures, 1'000'001);
}

TEST(Files, BlankLinesCommentsMarksAndLineEnds) {
  EXPECT_EQ(shown("\xef\xbb\xbf# list\r\n\r\n  \t\r\n  # \xff\na\r\n{\"steps\":1}\r\n\xef\xbb\xbf"
                  "b --s 2"),
            (Lines{R"({"prompt":"a"})", R"({"steps":1})", R"({"prompt":"b","steps":2})"}));
  EXPECT_EQ(shown(""), Lines{});
  EXPECT_EQ(shown("\n"), Lines{});
  EXPECT_EQ(shown("\xef\xbb\xbf"), Lines{});
  EXPECT_EQ(shown("a\n"), shown("a"));
}

TEST(Files, ABadLineHasItsNumberAndTheRestGoesOn) {
  const std::vector<JobOrBadLine> items = read_all("a\n\n{\n#\nb --d 1,2\nc\xff\nd");
  ASSERT_EQ(items.size(), 6U);
  EXPECT_EQ(std::get<BadLine>(items[1]).line, 3);
  EXPECT_EQ(std::get<Job>(items[2]).line, 5);
  EXPECT_EQ(std::get<Job>(items[3]).index, 3);
  EXPECT_EQ(std::get<BadLine>(items[4]).line, 6);
  EXPECT_EQ(std::get<Job>(items[5]).line, 7);
  EXPECT_EQ(std::get<Job>(items[5]).index, 4);
}

TEST(Files, BytesThatAreNoText) {
  expect_reason("a\xff", "is not valid UTF-8; save the file as UTF-8 text");
  expect_reason("{\"prompt\":\"\xc0\x80\"}", "is not valid UTF-8; save the file as UTF-8 text");
  expect_reason(std::string_view("a\0b", 3), "holds a NUL byte; save the file as UTF-8 text");
  expect_reason("a\rb", "has a carriage return inside; end lines by a newline");
  for (const JobOrBadLine& item : read_all(std::string_view("\xff\xfe"
                                                            "a\0\n\0",
                                                            6)))
    EXPECT_TRUE(std::holds_alternative<BadLine>(item));
}

std::string many(size_t count) { return std::string(count, 'x'); }

TEST(Files, LongLines) {
  const std::string remark = "{\"_\":\"" + std::string(1'048'576 - 8, 'x') + "\"}";
  const std::string too_long = "1: has more than 1048576 bytes; split it into several lines";
  EXPECT_EQ(shown(remark + "\na"), (Lines{"{}", R"({"prompt":"a"})"}));
  EXPECT_EQ(shown(remark), Lines{"{}"});
  EXPECT_EQ(shown(remark + " \na"), (Lines{too_long, R"({"prompt":"a"})"}));
  EXPECT_EQ(shown(many(9'000'000) + "\na"), (Lines{too_long, R"({"prompt":"a"})"}));
  EXPECT_EQ(shown(many(9'000'000)), Lines{too_long});
  EXPECT_EQ(shown(many(1'048'577)), Lines{too_long});
}

TEST(Files, LinesAcrossBlocksAreTheSame) {
  std::string text;
  std::vector<std::string> wanted;
  uint32_t state = 5;
  for (int i = 0; i < 200; ++i) {
    state = state * 1664525 + 1013904223;
    const std::string prompt =
        std::to_string(i) + std::string((state >> 8) % (i % 10 == 0 ? 60'000 : 500), 'y');
    text += prompt + "\n";
    wanted.push_back("{\"prompt\":\"" + prompt + "\"}");
  }
  EXPECT_EQ(shown(text), wanted);
}

class Places : public TemporaryDirectory {};

TEST_F(Places, PathsAndWhatIsNoFile) {
  const std::string path = directory_ / "jobs.txt";
  std::ofstream(path) << "a\n";
  JobsReader reader({path});
  EXPECT_EQ(std::get<Job>(*reader.next()).settings.prompt, "a");
  EXPECT_FALSE(reader.next());
  EXPECT_FALSE(reader.next());
  auto read = [](const std::string& place) {
    return message_of([&] { JobsReader({place}).next(); }, ExitCode::kInputInvalid);
  };
  EXPECT_EQ(read(path + "x"),
            path + "x: cannot read: No such file or directory; check the path and its permissions");
  EXPECT_EQ(read(directory_), directory_.string() + ": cannot read: Is a directory");
  EXPECT_EQ(message_of(
                [] {
                  JobsReader(-7, "jobs", [] { return true; }).next();
                  JobsReader(777, "jobs").next();
                },
                ExitCode::kInputInvalid),
            "jobs: cannot read: Bad file descriptor");
}

TEST_F(Places, SeveralFilesAreOneAfterTheOther) {
  const std::vector<std::string> places{directory_ / "a", directory_ / "b", directory_ / "c"};
  std::ofstream(places[0]) << "one\n--zz\ntwo";  // no end of its last line
  std::ofstream(places[1]) << "";
  std::ofstream(places[2]) << "# three\nthree\n--zz\n";
  JobsReader reader(places);
  std::filesystem::remove(places[2]);  // opened already
  std::vector<std::string> read;
  while (const auto item = reader.next()) {
    EXPECT_FALSE(reader.ended() && std::holds_alternative<Job>(*item));
    std::visit(
        [&](const auto& one) {
          read.push_back(std::to_string(one.file) + ":" + std::to_string(one.line));
          if constexpr (std::is_same_v<std::decay_t<decltype(one)>, Job>)
            read.back() += " " + std::to_string(one.index) + " " + *one.settings.prompt;
        },
        *item);
  }
  EXPECT_TRUE(reader.ended());
  EXPECT_EQ(read, (Lines{"0:1 1 one", "0:2", "0:3 2 two", "2:2 3 three", "2:3"}));
}

TEST_F(Places, AFifoWaitsForItsWriter) {
  const std::string path = directory_ / "jobs";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  std::thread writer([&] { std::ofstream(path) << "a\nb"; });
  JobsReader reader({path});
  EXPECT_TRUE(reader.next());
  EXPECT_TRUE(reader.next());
  EXPECT_FALSE(reader.next());
  writer.join();
}

TEST_F(Places, FifosMayHaveOneWriterAfterTheOther) {
  const std::vector<std::string> places{directory_ / "a", directory_ / "b"};
  for (const std::string& place : places) ASSERT_EQ(::mkfifo(place.c_str(), 0600), 0);
  constexpr int kLines = 20000;  // more than a pipe has room for
  std::thread writer([&] {
    for (const std::string& place : places) {
      std::ofstream file(place);
      for (int i = 0; i < kLines; ++i) file << "a fox in the snow\n";
    }
  });
  JobsReader reader(places);
  int jobs = 0;
  while (reader.next()) ++jobs;
  writer.join();
  EXPECT_EQ(jobs, 2 * kLines);
}

TEST(Streams, AJobIsThereAsSoonAsItsLineIs) {
  Pipe pipe;
  JobsReader reader(pipe.output(), "jobs");
  for (int i = 1; i <= 3; ++i) {
    write_text(pipe.input(), "first\n{\"seed\":[1,2]}\n# half a com");
    EXPECT_EQ(std::get<Job>(*reader.next()).settings.prompt, "first");
    EXPECT_EQ(std::get<Job>(*reader.next()).settings.seed, 1);
    EXPECT_EQ(std::get<Job>(*reader.next()).index, 3 * i);
    write_text(pipe.input(), "ment\n");
  }
  pipe.close_input();
  EXPECT_FALSE(reader.next());
}

TEST(Streams, AStopEndsTheWait) {
  Pipe pipe;
  std::atomic<bool> stop = false;
  JobsReader reader(pipe.output(), "jobs", [&] { return stop.load(); });
  write_text(pipe.input(), "a\nhalf");
  EXPECT_TRUE(reader.next());
  std::thread stopper([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    stop = true;
  });
  EXPECT_FALSE(reader.next());  // not the half line either
  stopper.join();
  stop = false;
  write_text(pipe.input(), " a line\n");
  EXPECT_EQ(std::get<Job>(*reader.next()).settings.prompt, "half a line");
}

extern "C" void nothing(int /*signal*/) {}

TEST(Streams, SignalsWithoutAStopLoseNothing) {
  struct sigaction action {};
  action.sa_handler = nothing;
  ::sigaction(SIGUSR1, &action, nullptr);
  Pipe pipe;
  const pthread_t reading = ::pthread_self();
  std::thread writer([&] {
    for (int i = 0; i < 20; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      ::pthread_kill(reading, SIGUSR1);
    }
    write_text(pipe.input(), "a\n");
    pipe.close_input();
  });
  JobsReader reader(pipe.output(), "jobs");
  EXPECT_TRUE(reader.next());
  EXPECT_FALSE(reader.next());
  writer.join();
}

/// What this process has used of memory at most, in KiB.
int64_t peak_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoll(line.substr(6));
  }
  ADD_FAILURE() << "no VmHWM";
  return 0;
}

// KiB; a sanitizer keeps memory that was given back.
constexpr int64_t kMostGrowth = kSanitized ? 1 << 30 : 32 * 1024;

std::string many_lines(int64_t first, int64_t count) {
  std::string text;
  for (int64_t i = first; i < first + count; ++i) {
    const std::string n = std::to_string(i);
    if (i % 4 == 0) text += "a photograph of a fox in the snow, number " + n + "\n";
    if (i % 4 == 1) text += "--prompt \"a fox\" --steps 20 --seed " + n + "\n";
    if (i % 4 == 2) text += "a fox --n bad --w 512 --d " + n + " --s 28 --l 7.5\n";
    if (i % 4 == 3) text += "{\"id\": \"x" + n + "\", \"prompt\": \"a fox\", \"seed\": " + n + "}\n";
  }
  return text;
}

TEST(Streams, AMillionLinesIn32MiB) {
  constexpr int64_t kLines = kSanitized ? 50'000 : 1'000'000;
  Pipe pipe;
  const int64_t before = peak_memory();
  std::thread writer([&] {
    for (int64_t i = 0; i < kLines; i += 1000) write_text(pipe.input(), many_lines(i, 1000));
    pipe.close_input();
  });
  JobsReader reader(pipe.output(), "jobs");
  int64_t jobs = 0;
  while (auto item = reader.next()) jobs += std::holds_alternative<Job>(*item) ? 1 : 0;
  writer.join();
  EXPECT_EQ(jobs, kLines);
  const int64_t growth = peak_memory() - before;
  RecordProperty("growth_kib", std::to_string(growth));
  EXPECT_LT(growth, kMostGrowth);
}

TEST(Streams, HostileLinesIn32MiB) {
  std::string text;
  auto repeated = [](const std::string& begin, std::string_view part, const std::string& end) {
    std::string line = begin;
    while (line.size() + part.size() + end.size() <= 1'048'576) line += part;
    return line + end + "\n";
  };
  text += repeated("{\"prompt\":[\"\"", ",\"\"", "]}");
  text += repeated("{\"_\":[", "[],", "0]}");
  text += repeated("{\"_\":", "[", "");
  text += repeated("{\"_\":{", "\"\":0,", "\"\":0}}");
  text += repeated("{", "\"_\":0,", "\"_\":0}");
  text += repeated("--prompt ", "a ", "");
  text += repeated("--prompt ", "\"\" ", "");
  text += repeated("--seed 1", ",1", "");
  text += repeated("a", " --n", "");
  text += repeated("a --d 1", ",1", "");
  text += repeated("{\"seed\":[1", ",1", "]}");
  text += repeated("a", " -- b", "");
  text += repeated("a", "b", "b") + repeated("a", "b", "bbbbbbbb");
  const int64_t before = peak_memory();
  EXPECT_EQ(shown(text).size(), 14U);
  const int64_t growth = peak_memory() - before;
  RecordProperty("growth_kib", std::to_string(growth));
  EXPECT_LT(growth, kMostGrowth);
}

/// Random jobs: every field present or not, texts of every kind of character.
class JobMaker {
 public:
  Job make() {
    Job job;
    if (flip()) job.id = text(20) + "i";
    PictureSettings& settings = job.settings;
    if (flip()) settings.prompt = text(300);
    if (flip()) settings.negative_prompt = text(30);
    if (flip()) settings.width = whole(1, kMostSide);
    if (flip()) settings.height = whole(1, kMostSide);
    if (flip()) settings.steps = whole(1, kMostSteps);
    if (flip()) settings.cfg_scale = real(kMostGuidance);
    if (flip()) settings.cfg_rescale = real(1);
    if (flip()) settings.sampler = text(40);
    if (flip()) settings.eta = real(1);
    if (flip()) settings.seed = whole(-1, std::numeric_limits<int64_t>::max());
    if (flip()) settings.clip_skip = whole(1, kMostClipSkip);
    if (flip()) settings.vae_tiling = flip();
    if (flip()) settings.compat = text(20);
    if (flip()) settings.strict = flip();
    return job;
  }

  bool flip() { return random_() % 2 == 0; }
  int64_t whole(int64_t least, int64_t most) {
    const int64_t pick = std::uniform_int_distribution<int64_t>(0, 9)(random_);
    if (pick == 0) return least;
    return pick == 1 ? most : std::uniform_int_distribution<int64_t>(least, most)(random_);
  }
  double real(double most) {
    return flip() ? static_cast<double>(whole(0, static_cast<int64_t>(most)))
                  : std::uniform_real_distribution<double>(0, most)(random_);
  }
  std::string text(int64_t most) {
    static const Lines kParts = {"a",
                                 "B",
                                 " ",
                                 "\t",
                                 "\n",
                                 "\r",
                                 "\"",
                                 "\\",
                                 "'",
                                 "{",
                                 "}",
                                 "--n ",
                                 "#",
                                 "\x01",
                                 "\x7f",
                                 "\xc2\x85",
                                 ":",
                                 ",",
                                 "[",
                                 "]",
                                 "_",
                                 "=",
                                 "\xc3\xa9",
                                 "\xe2\x80\xa8",
                                 "\xef\xbb\xbf",
                                 "\xf0\x9f\xa6\x8a"};
    std::string out;
    for (int64_t n = whole(0, most); n > 0 && out.size() < 220; --n)
      out += kParts[static_cast<size_t>(whole(0, static_cast<int64_t>(kParts.size()) - 1))];
    return out;
  }

 private:
  std::mt19937_64 random_{20240229};
};

bool same(const PictureSettings& a, const PictureSettings& b) {
  return a.prompt == b.prompt && a.negative_prompt == b.negative_prompt && a.width == b.width &&
         a.height == b.height && a.steps == b.steps && a.cfg_scale == b.cfg_scale &&
         a.cfg_rescale == b.cfg_rescale && a.sampler == b.sampler && a.eta == b.eta && a.seed == b.seed &&
         a.clip_skip == b.clip_skip && a.vae_tiling == b.vae_tiling && a.compat == b.compat &&
         a.strict == b.strict;
}

TEST(Occurrences, AreCountedFarBeyondSixteenBits) {
  Occurrences seen;
  const uint64_t hash = seen.count("a fox").hash;
  for (uint32_t before = 1; before < 70'000; ++before) {
    ASSERT_EQ(seen.count("a fox").before, before);
  }
  EXPECT_EQ(seen.count("a cat").before, 0U);
  EXPECT_EQ(seen.count("a fox").hash, hash);
}

TEST(JobLine, ReadsBackAsTheSameJob) {
  JobMaker maker;
  for (int round = 0; round < 5000; ++round) {
    const Job job = maker.make();
    const Remarks remarks = round % 2 == 0 ? Remarks{} : Remarks{{"failed", maker.text(50)}, {"", "b"}};
    const std::string line = to_json_line(job, remarks);
    EXPECT_EQ(line.find('\n'), std::string::npos);
    const std::vector<JobOrBadLine> items = read_all(line);
    ASSERT_EQ(items.size(), 1U);
    ASSERT_TRUE(std::holds_alternative<Job>(items[0])) << std::get<BadLine>(items[0]).reason << "\n" << line;
    const Job& back = std::get<Job>(items[0]);
    ASSERT_TRUE(back.id == job.id && same(back.settings, job.settings)) << line;
    ASSERT_EQ(to_json_line(back), to_json_line(job));
  }
}

TEST(JobLine, TheLongestJobCanBeReadAgain) {
  Job job;
  job.id = std::string(255, '\x01');
  job.settings.prompt = std::string(65536, '\x01');
  job.settings.negative_prompt = std::string(65536, '\x01');
  job.settings.sampler = std::string(256, '\x01');
  const auto items = read_all(to_json_line(job, {{"failed", std::string(1000, 'x')}}));
  ASSERT_TRUE(std::holds_alternative<Job>(items.at(0)));
  EXPECT_TRUE(same(std::get<Job>(items[0]).settings, job.settings));
}

TEST(JobLine, FailedJobsAreAJobFile) {
  std::string again;
  for (const JobOrBadLine& item : read_all("a --d 1,2 --id x\n{\"prompt\":\"b\",\"_failed\":\"once\"}")) {
    again += to_json_line(std::get<Job>(item), {{"failed", "out of \"memory\"\n"}}) + "\n";
  }
  EXPECT_EQ(again.substr(0, again.find('\n')),
            R"({"id":"x-1","prompt":"a","seed":1,"_failed":"out of \"memory\"\n"})");
  EXPECT_EQ(shown(again), (Lines{R"({"id":"x-1","prompt":"a","seed":1})",
                                 R"({"id":"x-2","prompt":"a","seed":2})", R"({"prompt":"b"})"}));
}

/// Every line makes jobs or one bad line, in order, and a job that was read can be written and read.
void check_anything(const std::string& text) {
  const std::vector<JobOrBadLine> items = read_all(text);
  int64_t line = 0;
  int64_t index = 0;
  for (const JobOrBadLine& item : items) {
    if (const auto* bad = std::get_if<BadLine>(&item)) {
      ASSERT_GT(bad->line, line) << escape_control(text);
      line = bad->line;
      ASSERT_FALSE(bad->reason.empty());
      ASSERT_EQ(bad->reason, escape_control(bad->reason));
      continue;
    }
    const Job& job = std::get<Job>(item);
    ASSERT_GE(job.line, line);
    line = job.line;
    ASSERT_EQ(job.index, ++index);
    ASSERT_EQ(shown(to_json_line(job)), Lines{to_json_line(job)}) << escape_control(text);
  }
  ASSERT_LE(line, static_cast<int64_t>(std::count(text.begin(), text.end(), '\n')) + 1);
}

TEST(Fuzz, MutatedLines) {
  const Lines good = {
      "a fox --n bad, ugly --w 512 --h 768 --d 7,8 --s 28 --l 7.5",
      R"(--prompt "a fox" --negative_prompt 'bad "ones"' --seed 5 --vae_tiling --cfg_scale=9.5)",
      R"({"id":"x","prompt":["a\nb","c"],"seed":[1,2,3],"cfg_scale":7.5,"_r":{"a":[1,null]}})",
      "# comment",
      "state--of--the--art -- fox",
      "\xef\xbb\xbf\xe7\x8b\x90 --vae_tiling\r"};
  const Lines parts = {"--",      "\"",
                       "'",       "\\",
                       "{",       "}",
                       "[",       "]",
                       ",",       ":",
                       "\n",      "=",
                       " --d ",   "\xff",
                       "1e9",     "null",
                       "\xc3",    "\t",
                       "_",       "9999999999999999999",
                       "-1",      std::string(1, '\0'),
                       "\\u0000", "\\ud800",
                       "#"};
  std::mt19937 random(7);
  auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  for (int round = 0; round < 20000; ++round) {
    std::string text = good[below(good.size())] + "\n" + good[below(good.size())];
    for (size_t change = below(6); change > 0; --change) {
      const size_t at = below(text.size() + 1);
      const size_t kind = below(4);
      if (kind == 0) text.insert(at, parts[below(parts.size())]);
      if (kind == 1 && at < text.size()) text[at] = static_cast<char>(random() & 255);
      if (kind == 2) text.erase(at, below(5));
      if (kind == 3) text.insert(at, text.substr(below(text.size() + 1), below(20)));
    }
    check_anything(text);
    if (HasFatalFailure()) return;
  }
}

TEST(Fuzz, RandomBytes) {
  std::mt19937 random(8);
  const std::string_view likely = "{}[]\":,-- \n\\'#=_dwnhs019.ea\xc3\xa9";
  for (int round = 0; round < 10000; ++round) {
    std::string text;
    for (size_t n = random() % 80; n > 0; --n)
      text += round % 2 == 0 ? static_cast<char>(random() & 255) : likely[random() % likely.size()];
    check_anything(text);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace brume::batch
