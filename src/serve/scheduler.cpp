#include "serve/scheduler.h"

#include "serve/api_error.h"

namespace karat {

std::optional<ServedPiece> ServedRequest::next(std::chrono::milliseconds wait) {
  std::unique_lock lock(mutex_);
  came_.wait_for(lock, wait, [&] { return !pieces_.empty(); });
  if (pieces_.empty()) return {};
  ServedPiece piece = std::move(pieces_.front());
  pieces_.pop_front();
  return piece;
}

void ServedRequest::push(ServedPiece piece) {
  {
    const std::scoped_lock lock(mutex_);
    ServedPiece* grows = nullptr;  // the last piece of the same text, which is not complete
    for (ServedPiece& one : pieces_)
      if (one.text == piece.text && one.error.empty()) grows = &one;
    if (!grows || !piece.error.empty()) {
      pieces_.push_back(std::move(piece));
    } else {
      grows->piece += piece.piece;
      grows->scores.insert(grows->scores.end(), piece.scores.begin(), piece.scores.end());
      if (piece.done) grows->done = std::move(piece.done);
    }
  }
  came_.notify_one();
}

Scheduler::Scheduler(Engine& engine, const Tokenizer& tokenizer, const SchedulerOptions& options)
    : engine_(engine), tokenizer_(tokenizer), options_(options), thread_([this] { work(); }) {}

Scheduler::~Scheduler() {
  {
    const std::scoped_lock lock(mutex_);
    ended_ = true;
  }
  came_.notify_one();
  thread_.join();
}

std::shared_ptr<ServedRequest> Scheduler::submit(std::vector<Generation> wanted) {
  const auto refuse = [&](int status, const char* message) {
    ++counts_.refused;
    throw ApiError(status, message);
  };
  if (closed_) refuse(503, "the server is ending");
  const auto deadline =
      ServedRequest::Clock::now() + std::chrono::duration_cast<ServedRequest::Clock::duration>(
                                        std::chrono::duration<double>(options_.seconds));
  std::shared_ptr<ServedRequest> request;
  {
    const std::scoped_lock lock(mutex_);
    if (open_ >= options_.parallel + options_.queue) refuse(429, "too many requests wait");
    request = std::make_shared<ServedRequest>(open_, deadline);
    jobs_.push_back({request, std::move(wanted)});
  }
  ++counts_.requests;
  came_.notify_one();
  return request;
}

void Scheduler::add(Generator& generator, Job job) {
  for (std::size_t text = 0; text < job.wanted.size(); ++text) {
    Generation& wanted = job.wanted[text];
    const auto request = job.request;
    wanted.on_score = [request, text](const TokenScore& score) {
      request->push({.text = text, .scores = {score}});
    };
    wanted.on_piece = [request, text](std::string_view piece) {
      if (!piece.empty()) request->push({.text = text, .piece = std::string(piece)});
      return request->wanted();
    };
    const auto prompt = std::ssize(wanted.prompt);
    try {
      generator.add(std::move(wanted), [this, request, text, prompt](Generated done) {
        ++counts_.texts;
        if (done.ending == Ending::cancelled) ++counts_.cancelled;
        counts_.prompt_tokens += prompt;
        counts_.written_tokens += std::ssize(done.ids);
        request->push({.text = text, .done = std::move(done)});
      });
    } catch (const std::exception& error) {
      request->cancel();
      request->push({.text = text, .error = error.what()});
      return;
    }
  }
}

void Scheduler::work() {
  std::optional<Generator> generator;
  generator.emplace(engine_, tokenizer_, options_.parallel);
  std::vector<std::weak_ptr<ServedRequest>> running;
  while (true) {
    std::deque<Job> jobs;
    {
      std::unique_lock lock(mutex_);
      came_.wait(lock, [&] { return ended_ || !jobs_.empty() || generator->busy(); });
      if (ended_) return;
      jobs.swap(jobs_);
    }
    std::erase_if(running, [](const auto& one) { return one.expired(); });
    for (Job& job : jobs) {
      running.push_back(job.request);
      add(*generator, std::move(job));
    }
    try {
      if (generator->step()) ++counts_.steps;
    } catch (const std::exception& error) {  // of the engine: what took part is lost
      for (const auto& one : running)
        if (const auto request = one.lock()) request->push({.error = error.what()});
      running.clear();
      generator.emplace(engine_, tokenizer_, options_.parallel);
    }
  }
}

}  // namespace karat
