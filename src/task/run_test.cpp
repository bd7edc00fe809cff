#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "core/file.h"
#include "karat/task.h"
#include "load/testing.h"
#include "task/document.h"
#include "task/journal.h"
#include "task/score.h"
#include "task/work.h"

namespace karat {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::TempFolder;

const fs::path kModel = fs::path(KARAT_SOURCE_DIR) / "models" / "karat-tiny";
const fs::path kExamples = fs::path(KARAT_SOURCE_DIR) / "examples" / "tasks";

bool says(const std::string& text, std::string_view part) {
  INFO(text);
  const bool found = text.find(part) != text.npos;
  CHECK(found);
  return found;
}

TaskOptions options_for(std::vector<std::string> tasks, const fs::path& data) {
  return {.tasks = std::move(tasks), .data = data, .shots = {}};
}

Document first_document(const std::string& name, const nlohmann::json& fields) {
  const TaskDefinition task = find_task(name);
  const Row row{fields, 0, "row"};
  return read_document(task, form_for(task, row), row);
}

// Expected: the contexts and continuations that lm-evaluation-harness 0.4.13 builds.
TEST_CASE("prompts of the original fields are lm-evaluation-harness'") {
  const auto asked = [](const std::string& name, const nlohmann::json& fields) {
    const TaskDefinition task = find_task(name);
    return ask(task, first_document(name, fields), "").requests;
  };
  const auto piqa = asked("piqa", {{"goal", "g"}, {"sol1", "a"}, {"sol2", "b"}, {"label", 1}});
  CHECK(piqa[1].context == "Question: g\nAnswer:");
  CHECK(piqa[1].continuation == " b");
  const auto copa = asked("copa", {{"premise", "It rained. "},
                                   {"question", "effect"},
                                   {"choice1", "We left."},
                                   {"choice2", "I sang."},
                                   {"label", 0}});
  CHECK(copa[0].context == "It rained therefore");
  CHECK(copa[0].continuation == "  we left.");
  const auto wino = asked("winogrande", {{"sentence", "Ann met Eve as _ left."},
                                         {"option1", "Ann"},
                                         {"option2", "Eve"},
                                         {"answer", "2"}});
  CHECK(wino[1].context == "Ann met Eve as Eve");
  CHECK(wino[0].continuation == " left.");
  const auto arc = asked("arc_easy", {{"question", "q?"},
                                      {"answerKey", "2"},
                                      {"choices", {{"text", {"x", "y"}}, {"label", {"1", "2"}}}}});
  CHECK(arc[1].context == "Question: q?\nAnswer:");
  CHECK(arc[1].continuation == " y");
  const auto word = asked("lambada_openai", {{"text", "He saw the  sea"}});
  CHECK(word[0].context == "He saw the ");
  CHECK(word[0].continuation == " sea");
  const auto scene = asked("hellaswag", {{"activity_label", "Tea"},
                                         {"ctx_a", "[header] Boil."},
                                         {"ctx_b", "[title] then He"},
                                         {"label", "1"},
                                         {"endings", {"pours [step] it", "waits"}}});
  CHECK(scene[0].context == "Tea: Boil.. then he");
  CHECK(scene[0].continuation == " pours it");
  CHECK(first_document("arc_easy", {{"question", "q?"},
                                    {"answerKey", "2"},
                                    {"choices", {{"text", {"x", "y"}}, {"label", {"1", "2"}}}}})
            .gold == 1);
}

TEST_CASE("every task file is read, and unknown ones are refused with the list") {
  for (const std::string& name : known_tasks()) CHECK(!find_task(name).about.empty());
  CHECK(known_tasks().size() >= 15);
  says(error_of([] { find_task("pica"); }), "task: got \"pica\", expected one of arc_challenge, ");
  TempFolder folder;
  const auto refused = [&](std::string_view text) {
    folder.write("t.json", text);
    return error_of([&] { find_task((folder / "t.json").string()); });
  };
  says(refused("{"), "expected well-formed JSON");
  says(refused(R"({"about":"","kind":"quiz","file":"f","metrics":["acc"],"forms":[]})"),
       "the kind \"quiz\", expected one of boxes, choices");
  says(refused(R"({"about":"","kind":"choices","file":"f","metrics":["f1"],
                   "forms":[{"context":"","choices":["a","b"],"gold":"0"}]})"),
       "the metric \"f1\", expected one of acc, acc_norm");
  says(refused(R"({"about":"","kind":"choices","file":"f","metrics":["acc"],"form":[]})"),
       "no \"forms\"");
  says(refused(R"({"about":"","kind":"choices","file":"f","metrics":["acc"],"forms":[{}]})"),
       "no \"context\"");
}

const std::string kGood =
    R"({"goal":"To boil water","sol1":"heat it.","sol2":"freeze it.","label":0})"
    "\n";

TEST_CASE("a bad row is an Error that names file and line, or is counted and left out") {
  const LanguageModel model = LanguageModel::open(kModel);
  const std::string long_one = R"({"goal":")" + std::string(4000, 'x') +
                               R"(","sol1":"a","sol2":"b","label":0})"
                               "\n";
  const std::vector<std::pair<std::string, std::string>> bad{
      {"{\"goal\": \n", "expected well-formed JSON"},
      {"[1]\n", "piqa.jsonl:3: got array, expected an object on each line"},
      {R"({"goal":"g","sol1":"a","label":0})"
       "\n",
       "piqa.jsonl:3: got no field \"sol2\""},
      {R"({"goal":"g","sol1":"","sol2":"b","label":0})"
       "\n",
       "an empty text among the choices"},
      {R"({"goal":"g","sol1":"a","sol2":"b","label":2})"
       "\n",
       "as the right answer, expected 0 to 1"},
      {long_one, "at most 513 for the context of this model; --skip-bad"}};
  for (const auto& [line, message] : bad) {
    TempFolder folder;
    folder.write("piqa.jsonl", kGood + "\n" + line + kGood);
    TaskOptions options = options_for({"piqa"}, folder.path());
    const std::string error = error_of([&] { evaluate_tasks(model, nullptr, options); });
    says(error, message);
    says(error, "piqa.jsonl:3");
    options.skip_bad = true;
    const TaskReport report = evaluate_tasks(model, nullptr, options);
    CHECK(report.results.front().items == 2);
    CHECK(report.results.front().skipped == 1);
    CHECK(report.skipped == std::vector<std::string>{error});
    options.skip_bad = false;
    options.truncate = true;
    if (line == long_one) CHECK(evaluate_tasks(model, nullptr, options).results[0].items == 3);
  }
}

TEST_CASE("rows of an array are those of lines; what is no text is refused by its kind") {
  const LanguageModel model = LanguageModel::open(kModel);
  TempFolder folder;
  const std::string row = kGood.substr(0, kGood.size() - 1);
  const auto values = [&](const std::string& content) {
    folder.write("piqa.jsonl", content);
    return evaluate_tasks(model, nullptr, options_for({"piqa"}, folder.path())).results.front();
  };
  const TaskResult lines = values(row + "\n" + row);
  const TaskResult array = values("\xef\xbb\xbf[" + row + ",\n " + row + "]\n");
  CHECK(array.items == 2);
  CHECK(array.scores.front().value == lines.scores.front().value);
  says(error_of([&] { values("\x1f\x8b packed"); }), "got gzip-compressed data");
  says(error_of([&] { values("{\"goal\": \"caf\xe9\"}"); }), "byte 0xe9 in line 1");
  says(error_of([&] { values("[" + row + ",\n7]"); }), "piqa.jsonl line 2: got “7]”");
  says(error_of([&] { values("[\"a\"]"); }), "piqa.jsonl:1: got string, expected an object");
}

TEST_CASE("missing data and empty choices are refused") {
  const LanguageModel model = LanguageModel::open(kModel);
  TempFolder folder;
  const auto error = [&](const std::string& task) {
    return error_of([&] { evaluate_tasks(model, nullptr, options_for({task}, folder.path())); });
  };
  says(error("piqa"), "no piqa.jsonl, expected the task's data in it or right below");
  folder.write("arc_easy.jsonl", R"({"query":"q","choices":[],"gold":0})");
  says(error("arc_easy"), "arc_easy.jsonl:1: got 0 choices, expected at least two");
  folder.write("piqa.jsonl", R"({"question":"q"})");
  says(error("piqa"), "got a row of another form, expected the field \"");
  folder.write("copa.jsonl", "\n\n");
  says(error("copa"), "got no row, expected at least one");
}

TEST_CASE("items resume to the same bytes, and other work is refused") {
  const LanguageModel model = LanguageModel::open(kModel);
  TempFolder folder;
  TaskOptions options = options_for({"piqa", "hellaswag"}, kExamples);
  options.limit = 4;
  options.items = folder / "items.jsonl";
  evaluate_tasks(model, nullptr, options);
  const std::string whole = read_text(options.items);
  for (const std::size_t cut : {whole.size() * 9 / 10, whole.size() / 2, whole.find('\n') + 1}) {
    folder.write("items.jsonl", whole.substr(0, cut));  // inside a line
    const TaskReport report = evaluate_tasks(model, nullptr, options);
    const bool same = read_text(options.items) == whole;
    CHECK(same);
    CHECK((report.resumed > 0) == (cut > whole.find('\n') + 1));
  }
  CHECK(evaluate_tasks(model, nullptr, options).speed.run == 0);  // nothing left to run
  options.seed = 1;
  says(error_of([&] { evaluate_tasks(model, nullptr, options); }),
       "got items of other models, data or options");
  CHECK(read_text(options.items) == whole);
  options.replace = true;
  CHECK(evaluate_tasks(model, nullptr, options).resumed == 0);
  CHECK(read_text(options.items) != whole);
}

TEST_CASE("items resume whatever lies beside the model, unless its answers come from it") {
  TempFolder folder;
  for (const auto& entry : fs::directory_iterator(kModel))
    fs::copy_file(entry.path(), folder / entry.path().filename().string());
  fs::create_symlink("gone", folder / "dangling.safetensors");
  fs::create_directory(folder / "folder.json");
  TaskOptions options = options_for({"piqa"}, kExamples);
  options.limit = 2;
  options.items = folder / "items.jsonl";
  const auto again = [&] {
    return evaluate_tasks(LanguageModel::open(folder.path()), nullptr, options);
  };
  again();
  folder.write("notes.json", "mine");
  folder.write("training_log.json", "{}");
  CHECK(again().speed.run == 0);
  for (const char* name : {"config.json", "tokenizer_config.json", "generation_config.json"}) {
    const std::string before = fs::exists(folder / name) ? read_text(folder / name) : "{}";
    folder.write(name, before + "\n");
    says(error_of(again), "got items of other models, data or options");
    if (before == "{}")
      fs::remove(folder / name);
    else
      folder.write(name, before);
  }
  CHECK(again().speed.run == 0);
}

TEST_CASE("a file of something else is not taken for items") {
  TempFolder folder;
  const Output output{
      .path = folder / "items.jsonl", .replace = false, .inputs = {}, .not_former = not_items};
  const auto refused = [&](std::string_view got) {
    for (const std::string& error :
         {error_of([&] { Journal::check(output); }),
          error_of([&] { Journal(output, {{"karat_items", 1}}); })}) {
      says(error, got);
      CHECK(error.find("remove this") == error.npos);
    }
  };
  for (const char* text : {"my notes", "{}", "my notes\nand more\n", "", "\n", "{\"karat_it"}) {
    folder.write("items.jsonl", text);
    refused("got a path that exists");
    CHECK(read_text(output.path) == text);
  }
  fs::remove(output.path);
  fs::create_directory(output.path);
  refused("got a folder");
  fs::remove(output.path);
  fs::create_symlink(folder / "gone", output.path);
  refused("got a link");
  CHECK(!fs::exists(folder / "gone"));
}

TEST_CASE("interrupted work keeps its items and says so") {
  const LanguageModel model = LanguageModel::open(kModel);
  TempFolder folder;
  TaskOptions options = options_for({"piqa", "rte"}, kExamples);
  options.limit = 4;
  options.items = folder / "items.jsonl";
  try {
    evaluate_tasks(model, nullptr, options, [](const ProgressEvent&) { return false; });
    FAIL("not interrupted");
  } catch (const Interrupted& interrupted) {
    says(interrupted.left, "items.jsonl keeps what is done");
  }
  CHECK(evaluate_tasks(model, nullptr, options).resumed > 0);
}

TEST_CASE("a model against itself differs by nothing") {
  const LanguageModel model = LanguageModel::open(kModel);
  TaskOptions options = options_for({"piqa"}, kExamples);
  options.limit = 4;
  const TaskReport report = evaluate_tasks(model, &model, options);
  REQUIRE(report.paired.size() == 2);
  for (const PairedScore& pair : report.paired) {
    CHECK(pair.difference == 0);
    CHECK(pair.standard_error == 0);
    CHECK(pair.discordant->p_value == 1);
  }
}

TEST_CASE("examples are drawn by the seed, never the question itself") {
  const TaskDefinition task = find_task("piqa");
  TaskOptions options = options_for({"piqa"}, kExamples);
  options.shots = 3;
  const DocumentGroup group = read_documents(task, options, {}).front();
  const auto before = [&](std::uint64_t seed, std::size_t question) {
    return Examples(task, group.examples, 3, seed).before(group.documents[question]);
  };
  CHECK(before(0, 0) == before(0, 0));
  CHECK(before(0, 0) != before(1, 0));
  CHECK(before(0, 0) != before(0, 1));
  for (std::size_t i = 0; i < group.documents.size(); ++i) {
    const std::string text = before(7, i);
    const bool itself = text.find(group.documents[i].contexts[0]) != text.npos;
    CHECK(!itself);
    CHECK(std::count(text.begin(), text.end(), '\n') == 9);  // question, answer, blank line
  }
  options.shots = 1000;
  says(error_of([&] { evaluate_tasks(LanguageModel::open(kModel), nullptr, options); }),
       "examples to choose from, expected 1000");
}

TEST_CASE("data files of groups, and few-shot examples from a file of their own") {
  TempFolder folder;
  fs::create_directories(folder / "m/test");
  fs::create_directories(folder / "m/dev");
  const std::string head = "question,choice0,choice1,choice2,choice3,answer\n";
  folder.write("m/test/a_b_test.csv",
               head + "\" Which \"\"one\"\",\n or two? \",\"1, 2\",3,4,5,2\n");
  folder.write("m/test/c_test.csv", head + "Q?,w,x,y,z,0\n");
  for (const char* dev : {"m/dev/a_b_dev.csv", "m/dev/c_dev.csv"})
    folder.write(dev, head + "D?,w,x,y,z,3\n");
  const TaskDefinition task = find_task("mmlu");
  TaskOptions options = options_for({"mmlu"}, folder.path());
  options.shots = 1;
  const auto groups = read_documents(task, options, {});
  REQUIRE(groups.size() == 2);
  CHECK(groups[0].file.group == "a_b");
  CHECK(groups[0].documents[0].contexts[0] ==
        "Which \"one\",\n or two?\nA. 1, 2\nB. 3\nC. 4\nD. 5\nAnswer:");
  CHECK(groups[0].documents[0].gold == 2);
  const TaskReport report = evaluate_tasks(LanguageModel::open(kModel), nullptr, options);
  REQUIRE(report.results.size() == 3);
  CHECK(report.results[0].items == 2);
  CHECK(report.results[2].group == "c");
  CHECK(Examples(task, groups[1].examples, 1, 0).before(groups[1].documents[0]) ==
        "D?\nA. w\nB. x\nC. y\nD. z\nAnswer: D\n\n");
  folder.write("m/test/c_test.csv", head + "Q?,w,x\n");
  says(error_of([&] { read_documents(task, options, {}); }),
       "c_test.csv:2: got 3 fields, expected 6 as in the header");
}

TEST_CASE("boxes in given answers are judged") {
  TempFolder folder;
  folder.write(
      "refcoco.jsonl",
      R"({"response":"<box>(0,0),(500,500)</box>","bbox":[0,0,320,240],"width":640,"height":480})"
      "\n"
      R"({"response":"I see none","bbox":[0,0,320,240],"width":640,"height":480})"
      "\n");
  const TaskReport report =
      evaluate_tasks(LanguageModel::open(kModel), nullptr, options_for({"refcoco"}, folder.path()));
  REQUIRE(report.results[0].scores.size() == 1);
  CHECK(report.results[0].scores[0].metric == "acc_iou_50");
  CHECK(report.results[0].scores[0].value == 0.5);
}

}  // namespace
}  // namespace karat
