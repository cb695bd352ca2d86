#include "brume/batch/worker_pool.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <map>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "brume/base/error.h"
#include "brume/batch/worker_protocol.h"
#include "temporary_directory.h"

// Batches by other processes: whatever becomes of these, every picture is told of once.
namespace brume::batch {
namespace {

class WorkerPools : public TemporaryDirectory {
 protected:
  void SetUp() override {
    TemporaryDirectory::SetUp();
    std::signal(SIGPIPE, SIG_IGN);  // as the program does: a pipe whose reader died is an ordinary error
  }

  static std::vector<std::string> worker(const std::string& how, const std::string& more = {}) {
    return more.empty() ? std::vector<std::string>{BRUME_FAKE_WORKER, how}
                        : std::vector<std::string>{BRUME_FAKE_WORKER, how, more};
  }
  using Commands = std::vector<std::vector<std::string>>;
  static std::vector<WorkerSlot> slots(const Commands& commands) {
    std::vector<WorkerSlot> slots;
    for (const std::vector<std::string>& command : commands)
      slots.push_back({{static_cast<int64_t>(slots.size()) + 1, "cpu"}, command});
    return slots;
  }
  WorkerFaults faults() {
    return {.died = [this](const WorkerName&, const std::string&) { ++deaths_; },
            .given_up =
                [this](const LostWorker& worker, bool is_last) {
                  const std::lock_guard lock(lost_mutex_);
                  lost_.push_back(worker);
                  if (is_last) last_lost_ = worker.name.number;
                }};
  }
  size_t lost() {
    const std::lock_guard lock(lost_mutex_);
    return lost_.size();
  }
  /// Has pictures 0 ... count - 1 drawn; what became of each.
  std::map<uint64_t, Made> draw(const Commands& workers, uint64_t count) {
    return draw(workers, source(count));
  }
  std::map<uint64_t, Made> draw(const Commands& workers, const Runner::Source& source) {
    std::map<uint64_t, Made> made;
    std::mutex mutex;
    WorkerPool pool(
        {.workers = slots(workers), .faults = faults(), .most_each = 4, .grace = {}, .patience = patience_},
        source,
        [&](Made one) {
          const std::lock_guard lock(mutex);
          EXPECT_TRUE(made.emplace(one.ticket, std::move(one)).second);
        },
        [this] { return stop_.load(); });
    complete_ = pool.run();
    const Busy& busy = pool.busy();
    use_ = {pool.steps_done(), busy.load, busy.text, busy.denoise, busy.decode, pool.workers_memory()};
    write_ = busy.write;
    return made;
  }
  static Runner::Source source(uint64_t count) {
    return [count, next = uint64_t{0}]() mutable -> std::optional<Work> {
      if (next == count) return {};
      Work work{next++, {}};
      work.request.seeds = {7};
      return work;
    };
  }
  static void expect_drawn(const std::map<uint64_t, Made>& made, uint64_t count, uint64_t but = UINT64_MAX) {
    ASSERT_EQ(made.size(), count);
    for (const auto& [ticket, one] : made) {
      if (ticket == but) {
        EXPECT_NE(one.failure.find("died twice (signal 9)"), std::string::npos) << one.failure;
        EXPECT_FALSE(one.result.picture);
        continue;
      }
      EXPECT_EQ(one.failure, "");
      EXPECT_EQ(one.result.picture->pixels, (std::vector<uint8_t>{static_cast<uint8_t>(ticket), 7, 0}));
    }
  }

  std::atomic<int> stop_ = 0;
  std::chrono::duration<double> patience_ = std::chrono::seconds(70);
  bool complete_ = false;
  std::mutex lost_mutex_;
  std::vector<LostWorker> lost_;  // to be read after draw()
  int64_t last_lost_ = 0;         // the number of the one that ended the batch
  std::atomic<int> deaths_ = 0;   // of workers that had their model
  WorkerUse use_;                 // of all together
  double write_ = 0;
};

TEST_F(WorkerPools, DrawEverythingOnce) {
  for (const size_t workers : {1, 2, 5}) {
    expect_drawn(draw(std::vector(workers, worker("good")), 200), 200);
    EXPECT_TRUE(complete_);
    EXPECT_EQ(use_.steps, 200);
  }
}

TEST_F(WorkerPools, StartNoMoreThanPicturesWait) {
  const auto started = [&](uint64_t pictures) {
    const std::filesystem::path counted = directory_ / std::to_string(pictures);
    std::filesystem::create_directory(counted);
    expect_drawn(draw(std::vector(4, worker("counted", counted)), pictures), pictures);
    const std::filesystem::directory_iterator files(counted);
    return std::distance(begin(files), end(files));
  };
  EXPECT_EQ(started(0), 0);
  EXPECT_EQ(started(1), 1);
  EXPECT_LE(started(2), 2);
  EXPECT_EQ(started(200), 4);
}

TEST_F(WorkerPools, TellWhatAllTogetherUsed) {
  draw(std::vector(3, worker("good")), 200);
  EXPECT_GE(use_.load, 0.5);
  EXPECT_LE(use_.load, 1.5);
  EXPECT_EQ(use_.text, 50);
  EXPECT_EQ(use_.denoise, 200);
  EXPECT_EQ(use_.decode, 400);
  EXPECT_EQ(use_.peak_memory, 200'000);
  EXPECT_GT(write_, 0);
}

TEST_F(WorkerPools, AllLivesOfAWorkerCountAndTheLargestOfThem) {
  draw({worker("dies-of-13")}, 50);
  EXPECT_EQ(use_.steps, 49);
  EXPECT_EQ(use_.denoise, 49);
  EXPECT_GE(use_.load, 1);
  EXPECT_GE(use_.peak_memory, 13'000);
  EXPECT_LE(use_.peak_memory, 36'000);
}

TEST_F(WorkerPools, OneThatHeedsNoSignalIsKilledAtAStop) {
  patience_ = std::chrono::milliseconds(300);
  std::thread stop([this] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    stop_ = SIGTERM;
  });
  const auto start = std::chrono::steady_clock::now();
  draw({worker("deaf"), worker("good")}, 50);
  stop.join();
  EXPECT_FALSE(complete_);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
}

TEST_F(WorkerPools, OneThatHeedsNoSignalIsKilledAfterAFailure) {
  patience_ = std::chrono::milliseconds(300);
  EXPECT_THROW(draw({worker("deaf"), worker("model")}, 50), Error);
}

TEST_F(WorkerPools, NothingToDrawStartsNobody) {
  EXPECT_TRUE(draw({worker("never")}, 0).empty());
  EXPECT_TRUE(complete_);
}

TEST_F(WorkerPools, AWorkerThatDiesIsStartedAgain) {
  const std::string mark = (directory_ / "mark").string();
  expect_drawn(draw({worker("dies-once", mark), worker("good")}, 100), 100);
}

TEST_F(WorkerPools, ThePictureThatKillsWorkersFailsAlone) {
  expect_drawn(draw({worker("dies-of-13")}, 50), 50, 13);
  expect_drawn(draw({worker("dies-of-13"), worker("dies-of-13"), worker("dies-of-13")}, 50), 50, 13);
}

TEST_F(WorkerPools, AWorkerThatTalksNonsenseIsLikeADeadOne) {
  expect_drawn(draw({worker("babbles-of-13")}, 50), 50, 13);
  expect_drawn(draw({worker("babbles-of-13"), worker("babbles-of-13")}, 50), 50, 13);
}

/// Its deaths cost no picture anything.
TEST_F(WorkerPools, AWorkerThatCannotLoadIsGivenUp) {
  for (const std::string how : {"never", "short"}) {
    lost_.clear();
    Runner::Source all = source(60);
    uint64_t given = 0;
    // The last pictures come only when it has been given up: the others alone would not wait for that.
    const auto waits = [&]() -> std::optional<Work> {
      for (int i = 0; given == 30 && lost() == 0; ++i) {
        if (i > 60'000) throw std::logic_error("it is not given up");
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      ++given;
      return all();
    };
    expect_drawn(draw({worker("good"), worker(how, "no memory; use less"), worker("good")}, waits), 60);
    EXPECT_TRUE(complete_);
    ASSERT_EQ(lost_.size(), 1U);
    EXPECT_EQ(lost_[0].name.text(), "worker 2 (cpu)");
    const std::string why = how == "never" ? "ended with signal 9; if memory was short, use fewer workers"
                                           : "no memory; use less";
    EXPECT_EQ(lost_[0].why.find("4 starts in a row drew nothing, the last: " + why), 0U) << lost_[0].why;
    EXPECT_EQ(deaths_, 0);
  }
}

TEST_F(WorkerPools, AWorkerThatLoadsNoMoreIsGivenUpAndItsPicturesAreDrawn) {
  Runner::Source all = source(20);
  const auto waits = [&, given = 0]() mutable -> std::optional<Work> {
    for (int i = 0; given == 4 && lost() == 0; ++i) {
      if (i > 60'000) throw std::logic_error("it is not given up");
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    ++given;
    return all();
  };
  expect_drawn(draw({worker("never-again", (directory_ / "mark").string()),
                     worker("late", (directory_ / "mark").string())},
                    waits),
               20);
  EXPECT_EQ(lost_.size(), 1U);
  EXPECT_EQ(deaths_, 1);
}

TEST_F(WorkerPools, AWorkerThatDiesOfEveryPictureFailsNone) {
  expect_drawn(draw({worker("dies"), worker("good")}, 60), 60);
  EXPECT_TRUE(complete_);
}

TEST_F(WorkerPools, TheBatchEndsWhenAllWorkersAreGivenUp) {
  try {
    draw({worker("never"), worker("short", "no memory; use less")}, 10);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(lost_.size(), 2U);
    EXPECT_NE(last_lost_, 0);
    const bool last_was_short = last_lost_ == 2;  // each tells of itself: who does so first is chance
    EXPECT_EQ(error.code(), last_was_short ? ExitCode::kOutOfMemory : ExitCode::kGpuFault);
    const std::string name = last_was_short ? "worker 2 (cpu): " : "worker 1 (cpu): ";
    EXPECT_EQ(std::string(error.what()).find(name + "4 starts in a row drew nothing, the last: "), 0U)
        << error.what();
  }
}

TEST_F(WorkerPools, WhatAnotherStartCannotMendEndsTheBatch) {
  const auto code_of = [this](const std::vector<std::string>& command) {
    try {
      draw({command, command}, 10);
    } catch (const Error& error) {
      return static_cast<int>(error.code());
    }
    return 0;
  };
  EXPECT_EQ(code_of(worker("model")), 3);
  EXPECT_EQ(code_of(worker("never")), 7);
  EXPECT_THROW(draw({{"/no/such/program"}}, 10), std::system_error);
}

TEST_F(WorkerPools, WhatAWorkerSaysOfItsEndIsWhatTheBatchSays) {
  try {
    draw({worker("model", "unet: not finite; take another")}, 10);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kModelInvalid);
    EXPECT_STREQ(error.what(), "unet: not finite; take another");
  }
}

TEST_F(WorkerPools, AStopIsPassedOn) {
  stop_ = 15;
  EXPECT_LT(draw({worker("good")}, 1'000'000).size(), 1'000'000U);
  EXPECT_FALSE(complete_);
}

TEST_F(WorkerPools, ASinkThatFailsEndsTheBatch) {
  int taken = 0;
  WorkerPool pool(
      {.workers = slots({worker("good")}), .most_each = 4}, source(1000),
      [&](const Made&) {
        if (++taken == 5) throw Error(ExitCode::kOutputFailed, "there", "no space");
      },
      [] { return 0; });
  EXPECT_THROW(pool.run(), Error);
  EXPECT_EQ(taken, 5);
}

TEST(WorkerProtocol, EveryFieldComesBackTheSame) {
  Work work{UINT64_MAX, {}};
  Request& request = work.request;
  request.prompt = "a \"fox\"\n\t\xc3\xa9";
  request.negative_prompt = "";
  request.width = 123;
  request.height = 456;
  request.seeds = {UINT64_MAX - 3};
  request.sampling = {Sampler::kDpmpp2mSde, 37, 0.1, SigmaSpacing::kKarras, "3,1.5,0"};
  request.guidance = {7.3, 0.7000000000000001};
  request.clip_skip = 2;
  request.rng = NoiseKind::kCuda;
  request.guidance.interval = {0.25, 0.75};
  request.guidance.mimic = MimicThreshold{3, 0.9};
  request.guidance.perturbed = {2, 0.01, {"mid", "up_blocks.1"}};
  request.free_u = FreeU{{1.3, 1.4}, {0.9, 0.2}};
  request.reading = {Compat::kSdCpp, Unread::kRefuse};
  request.decode = DecodeMode::kTiled;
  request.edit = PictureEdit{{"/a\xff b.png", "abc", {12, 34}}, 0.7, PictureFile{"m.png", "def", {5, 6}}};
  request.guidance.image_scale = 1.7;
  request.sampling.first_step = 11;
  const Work back = read_work_line(work_line(work));
  EXPECT_EQ(back.request.edit->picture.path, request.edit->picture.path);
  EXPECT_EQ(back.request.edit->picture.digest, "abc");
  EXPECT_EQ(back.request.edit->picture.size.height, 34);
  EXPECT_EQ(back.request.edit->strength, 0.7);
  EXPECT_EQ(back.request.edit->mask->digest, "def");
  EXPECT_EQ(back.request.guidance.image_scale, 1.7);
  EXPECT_EQ(back.request.sampling.first_step, 11);
  EXPECT_EQ(back.ticket, work.ticket);
  EXPECT_EQ(back.request.prompt, request.prompt);
  EXPECT_EQ(back.request.negative_prompt, request.negative_prompt);
  EXPECT_EQ(back.request.seeds, request.seeds);
  EXPECT_EQ(back.request.guidance.rescale, request.guidance.rescale);
  EXPECT_EQ(back.request.sampling.sampler, request.sampling.sampler);
  EXPECT_EQ(back.request.sampling.eta, request.sampling.eta);
  EXPECT_EQ(back.request.sampling.spacing, request.sampling.spacing);
  EXPECT_EQ(back.request.sampling.sigmas, request.sampling.sigmas);
  EXPECT_EQ(back.request.reading.compat, request.reading.compat);
  EXPECT_EQ(back.request.reading.unread, request.reading.unread);
  EXPECT_EQ(back.request.rng, request.rng);
  EXPECT_EQ(back.request.guidance.interval.start, 0.25);
  EXPECT_EQ(back.request.guidance.interval.end, 0.75);
  EXPECT_EQ(back.request.guidance.mimic->percentile, 0.9);
  EXPECT_EQ(back.request.guidance.perturbed.adaptive_scale, 0.01);
  EXPECT_EQ(back.request.guidance.perturbed.layers, request.guidance.perturbed.layers);
  EXPECT_EQ(back.request.free_u, request.free_u);
  EXPECT_EQ(work_line(back), work_line(work));
  request.negative_prompt.reset();
  request.edit->strength.reset();
  request.edit->mask.reset();
  EXPECT_EQ(read_work_line(work_line(work)).request.negative_prompt, std::nullopt);
  EXPECT_EQ(read_work_line(work_line(work)).request.edit->strength, std::nullopt);
  EXPECT_FALSE(read_work_line(work_line(work)).request.edit->mask);
  EXPECT_THROW(read_work_line("{}"), Error);
}

TEST_F(WorkerPools, ASourceThatWaitsHearsOfTheEnd) {
  const auto ends = [](const std::string& how, int stop, bool sink_fails) {
    const WorkerPool* running = nullptr;
    Runner::Source few = source(3);
    const auto waits = [&]() -> std::optional<Work> {
      std::optional<Work> work = few();
      for (int i = 0; !work && !running->ending(); ++i) {
        if (i > 30'000) throw std::runtime_error("nobody tells the source");
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      return work;
    };
    const auto sink = [&](const Made&) {
      if (sink_fails) throw Error(ExitCode::kOutputFailed, "there", "no space");
    };
    WorkerPool pool({.workers = slots({worker(how)}), .most_each = 4}, waits, sink, [&] { return stop; });
    running = &pool;
    EXPECT_FALSE(pool.ending());
    try {
      EXPECT_FALSE(pool.run());
    } catch (const Error&) {
      EXPECT_EQ(stop, 0);
    }
    return pool.ending();
  };
  EXPECT_TRUE(ends("good", 0, true));
  EXPECT_TRUE(ends("model", 0, false));
  EXPECT_TRUE(ends("good", 15, false));
}

constexpr const char* kUse = R"({"steps":1,"load":1,"text":1,"denoise":1,"decode":1,"peak_memory":1})";

/// What stands before the pixels of a picture of 9 x 9.
std::string frame(const std::string& use) {
  return R"({"ticket":7,"failure":"","notes":[],"width":9,"height":9,"use":)" + use + "}\n";
}

TEST(WorkerProtocol, PicturesComeBackAndTornOnesDoNot) {
  Made made{5, {}, {}};
  made.result.picture = Picture{100, 70, std::vector<uint8_t>(21000)};
  for (size_t i = 0; i < 21000; ++i) made.result.picture->pixels[i] = static_cast<uint8_t>(i * 7);
  made.result.notes = {"vae_fallback fp32"};
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  std::thread writer([&] {
    write_ready(pipe[1], "cuda:1");
    write_made(pipe[1], made, {40, 0.1, 0.2, 0.3, 1e6, int64_t{3} << 40});
    write_made(pipe[1], {6, {}, "no room"}, {});
    write_failure(pipe[1], "no \"memory\" \xff");
    const std::string torn = frame(kUse) + "abc";
    EXPECT_EQ(::write(pipe[1], torn.data(), torn.size()), static_cast<ssize_t>(torn.size()));
    ::close(pipe[1]);
  });
  WorkerReader reader(pipe[0]);
  const auto next = [&reader]() -> std::optional<MadeFrame> {
    const std::optional<WorkerMessage> message = reader.next();
    if (!message || !std::holds_alternative<MadeFrame>(*message)) return {};
    return std::get<MadeFrame>(*message);
  };
  const std::optional<WorkerMessage> start = reader.next();
  ASSERT_TRUE(start && std::holds_alternative<WorkerReady>(*start));
  EXPECT_EQ(std::get<WorkerReady>(*start).device, "cuda:1");
  const std::optional<MadeFrame> first = next();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->made.result.picture->pixels, made.result.picture->pixels);
  EXPECT_EQ(first->made.result.notes, made.result.notes);
  EXPECT_EQ(first->use.steps, 40);
  EXPECT_EQ(first->use.load, 0.1);
  EXPECT_EQ(first->use.text, 0.2);
  EXPECT_EQ(first->use.denoise, 0.3);
  EXPECT_EQ(first->use.decode, 1e6);
  EXPECT_EQ(first->use.peak_memory, int64_t{3} << 40);
  const std::optional<MadeFrame> second = next();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->made.failure, "no room");
  const std::optional<WorkerMessage> third = reader.next();
  ASSERT_TRUE(third);
  EXPECT_EQ(std::get<WorkerFailure>(*third).text, "no \"memory\" \xef\xbf\xbd");
  EXPECT_FALSE(reader.next());
  EXPECT_FALSE(reader.broken());
  writer.join();
  ::close(pipe[0]);
}

TEST(WorkerProtocol, NonsenseIsTheEnd) {
  std::signal(SIGPIPE, SIG_IGN);
  const std::string good = frame(kUse) + std::string(9 * 9 * 3, 'x');
  const auto told = [](const std::string& text) {
    std::array<int, 2> pipe{};
    EXPECT_EQ(::pipe(pipe.data()), 0);
    std::thread writer([&] {
      static_cast<void>(::write(pipe[1], text.data(), text.size()));
      ::close(pipe[1]);
    });
    WorkerReader reader(pipe[0]);
    const bool whole = reader.next().has_value();
    EXPECT_NE(whole, reader.broken()) << text.substr(0, 200);
    ::close(pipe[0]);  // first: the writer may wait for room
    writer.join();
    return whole;
  };
  EXPECT_TRUE(told(good));
  const auto with = [&](const std::string& part, const std::string& instead) {
    std::string text = good;
    return text.replace(text.find(part), part.size(), instead);
  };
  for (const std::string& bad : {std::string("\n"),
                                 std::string("[7]\n"),
                                 std::string(1'100'000, 'x'),
                                 with("{", ""),
                                 with(R"("ticket":7)", R"("ticket":"7")"),
                                 with(R"("ticket":7)", R"("ticket":-7)"),
                                 with(R"("ticket":7)", R"("ticket":1e300)"),
                                 with(R"("failure":"")", R"("failure":3)"),
                                 with(R"("notes":[])", R"("notes":[4])"),
                                 with(R"("width":9)", R"("width":1e300)"),
                                 with(R"("width":9)", R"("width":0)"),
                                 with(R"("width":9)", R"("width":4294967296)"),
                                 with(R"("height":9)", R"("height":-9)"),
                                 with(R"(,"height":9)", ""),
                                 frame("7"),
                                 frame("{}"),
                                 with(R"("steps":1)", R"("steps":-1)"),
                                 with(R"("steps":1)", R"("steps":9223372036854775807)"),
                                 with(R"("load":1)", R"("load":1e300)"),
                                 with(R"("text":1)", R"("text":null)"),
                                 with(R"("decode":1)", R"("decode":"1")"),
                                 with(R"(,"peak_memory":1)", ""),
                                 std::string("{\"error\":3}\n"),
                                 std::string("{\"ready\":true}\n")})
    EXPECT_FALSE(told(bad)) << bad.substr(0, 200);
}

}  // namespace
}  // namespace brume::batch
