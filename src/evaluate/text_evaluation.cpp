#include "karat/text_evaluation.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/file.h"
#include "core/hash.h"
#include "evaluate/default_convention.h"
#include "evaluate/logit_cache.h"
#include "karat/error.h"
#include "karat/runtime.h"
#include "karat/text_notice.h"

namespace karat {
namespace {

namespace fs = std::filesystem;

struct Chosen {
  std::vector<Convention> conventions = {};
  bool all = false;  // those that do not fit are left out
};

Chosen choose_conventions(const TextJob& job) {
  const std::string_view names = !job.conventions.empty() ? std::string_view(job.conventions)
                                 : job.stride > 0         ? "strided"
                                                          : kDefaultConvention;
  Chosen chosen{.all = names == "all"};
  if (chosen.all) chosen.conventions.assign(conventions().begin(), conventions().end());
  for (std::size_t begin = 0; !chosen.all && begin <= names.size();) {
    const std::size_t end = std::min(names.find(',', begin), names.size());
    chosen.conventions.push_back(find_convention(names.substr(begin, end - begin)));
    begin = end + 1;
  }
  const auto strided = std::find_if(chosen.conventions.begin(), chosen.conventions.end(),
                                    [](const Convention& c) { return c.name == "strided"; });
  if (job.stride < 0) fail("stride", std::to_string(job.stride), "a number of tokens");
  if (job.stride > 0 && strided == chosen.conventions.end())
    fail("stride", "--stride with the conventions " + job.conventions, "strided among them");
  if (job.stride > 0) strided->stride = job.stride;
  return chosen;
}

Output logits_output(const TextJob& job) {
  return {.path = job.save_logits,
          .replace = job.replace,
          .inputs = {job.model, job.original, job.text, job.calibration},
          .not_former = not_logits};
}

void check_files(const TextJob& job, std::size_t conventions) {
  const bool cached = !job.logits.empty(), saved = !job.save_logits.empty();
  if (cached && saved) fail("evaluate", "cached logits to read and to write", "one of them");
  if (cached && !job.original.empty())
    fail("evaluate", "an original and its cached logits", "one of them");
  if ((cached || saved) && conventions != 1)
    fail("evaluate", fmt::format("cached logits and {} conventions", conventions), "one of them",
         "a cache holds the windows of one convention");
  if (saved) check_output(logits_output(job), OutputKind::file);
}

std::vector<fs::path> weight_files(const fs::path& folder) {
  std::vector<fs::path> files = Safetensors::files_of(folder);
  if (fs::is_directory(folder)) files.insert(files.begin(), folder / "config.json");
  return files;
}

using Cuts = std::vector<std::pair<const Convention*, CutText>>;

/// One job at work.
class Work {
 public:
  explicit Work(const TextJob& job)
      : job_(job),
        file_(TextFile::open(job.text, job.field)),
        model_(LanguageModel::open(job.model)),
        tokenizer_(Tokenizer::open(job.model)) {
    if (!job.original.empty()) original_ = LanguageModel::open(job.original);
    context_ = model_.architecture().max_positions;
    if (original_) context_ = std::min(context_, original_->architecture().max_positions);
    result_ = {.command = job.command,
               .model = job.model.string(),
               .original = job.original.string(),
               .text = job.text.string(),
               .text_sha256 = sha256(file_.bytes()),
               .limit = job.limit,
               .activations = job.both_activations
                                  ? "both"
                                  : std::string(name_of(Runtime::current().activations())),
               .warnings = text_notices(job.text, job.field, file_.is_records())};
    const std::vector<std::string>& of_model = model_.architecture().warnings;
    result_.warnings.insert(result_.warnings.end(), of_model.begin(), of_model.end());
  }

  TextEvaluation run(const Chosen& chosen) {
    find_texts_overlap();
    Cuts cuts;
    for (const Convention& convention : chosen.conventions) try {
        cuts.emplace_back(&convention, cut(convention, tokenizer_, job_.model));
      } catch (const Error& error) {
        if (!chosen.all) throw;
        result_.skipped.push_back({std::string(convention.name), error.what()});
      }
    if (original_) check_same_tokens(cuts);
    file_.check();
    if (cuts.empty())
      fail("evaluate " + job_.text.string(), "a text that fits no convention", "a longer one",
           result_.skipped.front().reason);
    if (job_.conventions.empty() && cuts.front().first->name == kDefaultConvention)
      warn_of_few_windows(cuts.front().second);
    for (const auto& [convention, cut] : cuts)
      result_.evaluations.push_back(score(*convention, cut));
    return std::move(result_);
  }

 private:
  void find_texts_overlap() {
    const FileText text{job_.text, job_.field};
    if (!job_.calibration.empty()) {
      result_.overlap = find_file_overlap({job_.calibration, job_.field}, text);
    } else if (const auto reported = reported_calibration(job_.model, job_.text)) {
      try {
        result_.overlap = find_file_overlap(*reported, text);
      } catch (const Error&) {  // nobody asked for it: what cannot be read says nothing
      }
    }
  }

  CutText cut(const Convention& convention, const Tokenizer& tokenizer,
              const fs::path& folder) const {
    return cut_text(convention, tokenizer, folder, named_text(job_.text, file_), context_,
                    job_.limit);
  }

  void warn_of_few_windows(const CutText& cut) {
    for (const std::string& line :
         few_windows_notice(named_text(job_.text, file_),
                            static_cast<std::int64_t>(cut.windows.size()), context_, job_.limit))
      result_.warnings.push_back(line);
  }

  /// Both models read the tokens of the first, which mean something else to an original of another
  /// tokenizer. Tokenizers of other files may still agree on this text.
  void check_same_tokens(const Cuts& cuts) const {
    const std::vector<fs::path> files = Tokenizer::files(job_.original);
    if (files.empty() || hash_files(files) == hash_files(Tokenizer::files(job_.model))) return;
    const Tokenizer tokenizer = Tokenizer::open(job_.original);
    for (const auto& [convention, made] : cuts)
      if (hash_windows(cut(*convention, tokenizer, job_.original).windows) !=
          hash_windows(made.windows))
        fail("evaluate " + job_.model.string(),
             fmt::format("other tokens of {} than {} makes", job_.text.string(),
                         job_.original.string()),
             "models that tokenize the text alike",
             "compare a model with the original that it was made from");
  }

  Evaluation score(const Convention& convention, const CutText& cut) {
    EvaluateOptions options{.original = original_ ? &*original_ : nullptr,
                            .both_activations = job_.both_activations,
                            .progress = job_.progress};
    std::optional<LogitCache> cache;
    std::optional<LogitRecorder> recorder;
    const CacheFingerprint print = fingerprint(convention, cut);
    if (!job_.logits.empty()) options.cache = &cache.emplace(LogitCache::open(job_.logits, print));
    if (!job_.save_logits.empty()) options.recorder = &recorder.emplace(print.vocab, print.rows);
    Evaluation evaluation = evaluate(model_, cut.windows, options);
    describe_cut(evaluation, convention, cut, tokenizer_);
    if (recorder) write_logits(*recorder, print, *evaluation.cache_check);
    if (cache) tell_logits(job_.logits, cache->original(), cache->original_sha256(), print, false);
    return evaluation;
  }

  CacheFingerprint fingerprint(const Convention& convention, const CutText& cut) const {
    CacheFingerprint print;
    if (job_.logits.empty() && job_.save_logits.empty()) return print;
    for (const Window& window : cut.windows) print.rows += window.scored();
    print.text_sha256 = result_.text_sha256;
    print.convention = convention.name;
    print.tokenizer_sha256 = hash_files(Tokenizer::files(job_.model));
    print.windows_sha256 = hash_windows(cut.windows);
    print.stride = cut.stride;
    print.limit = job_.limit;
    print.vocab = model_.architecture().vocab;
    return print;
  }

  void write_logits(const LogitRecorder& recorder, CacheFingerprint print,
                    const CacheCheck& check) {
    const fs::path& source = original_ ? job_.original : job_.model;
    print.original = source.string();
    print.original_sha256 = hash_files(weight_files(source));
    recorder.write(logits_output(job_), print, check);
    tell_logits(job_.save_logits, print.original, print.original_sha256, print, true);
  }

  void tell_logits(const fs::path& file, const std::string& original, const std::string& hash,
                   const CacheFingerprint& print, bool written) {
    const auto bytes = static_cast<std::int64_t>(fs::file_size(file));
    const double full = 2.0 * static_cast<double>(print.rows) * static_cast<double>(print.vocab);
    result_.logits =
        LogitFile{file.string(), original, hash, bytes, static_cast<double>(bytes) / full, written};
  }

  const TextJob& job_;
  TextFile file_;  // first: a wrong text is known before a model is read
  LanguageModel model_;
  std::optional<LanguageModel> original_;
  Tokenizer tokenizer_;
  std::int64_t context_ = 0;
  TextEvaluation result_;
};

}  // namespace

TextEvaluation evaluate_text(const TextJob& job) {
  const Chosen chosen = choose_conventions(job);
  check_files(job, chosen.conventions.size());
  return Work(job).run(chosen);
}

}  // namespace karat
