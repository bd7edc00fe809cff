#include "task/definition.h"

#include <algorithm>
#include <utility>

#include "core/file.h"
#include "karat/error.h"
#include "karat/task.h"
#include "load/json.h"

namespace karat {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct KindRules {
  TaskKind kind;
  std::vector<std::string> parts, metrics;
};
const std::map<std::string, KindRules>& kinds() {
  static const std::map<std::string, KindRules> table{
      {"choices", {TaskKind::choices, {"context", "choices", "gold"}, {"acc", "acc_norm"}}},
      {"contexts", {TaskKind::contexts, {"contexts", "target", "gold"}, {"acc"}}},
      {"continuation", {TaskKind::continuation, {"context", "target"}, {"acc", "perplexity"}}},
      {"generation", {TaskKind::generation, {"context", "target"}, {"exact_match"}}},
      {"boxes", {TaskKind::boxes, {"response", "box", "size"}, {"acc_iou_50"}}},
  };
  return table;
}

template <class Map>
std::string names_of(const Map& map) {
  std::string names;
  for (const auto& entry : map) names += (names.empty() ? "" : ", ") + entry.first;
  return names;
}

/// Reads typed values of one object and, at the end, refuses keys that nobody asked for.
class ObjectReader {
 public:
  ObjectReader(const json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) fail(where_, object.type_name(), "an object");
  }
  const json* find(const std::string& key) {
    known_.push_back(key);
    const auto found = object_.find(key);
    return found == object_.end() ? nullptr : &*found;
  }
  template <class T>
  T get(const std::string& key, T otherwise) {
    const json* found = find(key);
    return found ? as<T>(*found, key) : otherwise;
  }
  template <class T>
  T need(const std::string& key) {
    const json* found = find(key);
    if (!found) fail(where_, "no \"" + key + "\"", "one");
    return as<T>(*found, key);
  }
  void finish() const {
    for (const auto& entry : object_.items())
      if (std::find(known_.begin(), known_.end(), entry.key()) == known_.end())
        fail(where_, "the key \"" + excerpt(entry.key()) + "\"", "one that docs/tasks.md names");
  }
  const std::string& where() const { return where_; }

 private:
  template <class T>
  T as(const json& value, const std::string& key) const {
    try {
      return value.get<T>();
    } catch (const json::exception&) {
      fail(where_, "\"" + key + "\" that is " + value.type_name(), "another type of value");
    }
  }
  const json& object_;
  std::string where_;
  std::vector<std::string> known_;
};

/// "text", or {"text": …, "then": "filter"}
Template read_template(const json& value, const std::string& where) {
  if (value.is_string()) return Template(value.get<std::string>(), where);
  ObjectReader reader(value, where);
  Template read(reader.need<std::string>("text"), where);
  read.then(reader.need<std::string>("then"), where);
  reader.finish();
  return read;
}

std::vector<Template> read_templates(const json& value, const std::string& where) {
  if (!value.is_array()) return {read_template(value, where)};
  if (value.empty()) fail(where, "an empty list", "texts");
  std::vector<Template> templates;
  for (const json& text : value) templates.push_back(read_template(text, where));
  return templates;
}

TaskForm read_form(const json& object, const KindRules& rules, const std::string& where) {
  ObjectReader reader(object, where);
  TaskForm form;
  for (const std::string& part : rules.parts) {
    const json* value = reader.find(part);
    if (!value) fail(where, "no \"" + part + "\"", "one in each form");
    form[part] = read_templates(*value, where + " " + part);
  }
  reader.finish();
  return form;
}

Extraction read_extraction(const json& object, const std::string& where) {
  ObjectReader reader(object, where);
  Extraction extraction{reader.need<std::string>("name"), reader.need<std::string>("pattern"),
                        reader.get<std::int64_t>("select", 0)};
  reader.finish();
  return extraction;
}

GenerationRules read_generation(const json& object, const std::string& where) {
  ObjectReader reader(object, where);
  GenerationRules rules;
  rules.stop = reader.get("stop", rules.stop);
  rules.most_tokens = reader.get("most_tokens", rules.most_tokens);
  if (rules.most_tokens < 1) fail(where, "most_tokens below 1", "at least 1");
  if (const json* list = reader.find("extract"))
    for (const json& entry : *list) rules.extract.push_back(read_extraction(entry, where));
  rules.ignore = reader.get("ignore", rules.ignore);
  rules.ignore_case = reader.get("ignore_case", false);
  reader.finish();
  return rules;
}

void read_shots(const json& object, TaskDefinition& task, const std::string& where) {
  ObjectReader reader(object, where + " few_shot");
  task.shots_file = reader.get<std::string>("file", "");
  task.shots_first = reader.get("first", false);
  task.shots = reader.get<std::int64_t>("shots", 0);
  reader.finish();
}

bool choose(const std::string& value, const char* yes, const char* no, const std::string& where) {
  if (value != yes && value != no)
    fail(where, "\"" + excerpt(value) + "\"", std::string("\"") + yes + "\" or \"" + no + "\"");
  return value == yes;
}

BoxRules read_boxes(const json& object, const std::string& where) {
  ObjectReader reader(object, where + " boxes");
  BoxRules rules;
  rules.xywh = choose(reader.need<std::string>("true_box"), "xywh", "xyxy", reader.where());
  rules.thousandths =
      choose(reader.need<std::string>("numbers"), "thousandths", "pixels", reader.where());
  reader.finish();
  return rules;
}

void check_metrics(const TaskDefinition& task, const KindRules& rules, const std::string& where) {
  if (task.metrics.empty()) fail(where, "no metric", "at least one");
  for (const std::string& metric : task.metrics)
    if (std::find(rules.metrics.begin(), rules.metrics.end(), metric) == rules.metrics.end()) {
      std::string names;
      for (const std::string& name : rules.metrics) names += (names.empty() ? "" : ", ") + name;
      fail(where, "the metric \"" + excerpt(metric) + "\"", "one of " + names);
    }
}

TaskDefinition read_task(const fs::path& path) {
  const std::string where = "task " + path.string(), text = read_text(path, 1u << 20);
  const json object = parse_json(text, path.string());
  ObjectReader reader(object, where);
  TaskDefinition task{.name = path.stem().string(),
                      .about = reader.need<std::string>("about"),
                      .file = reader.need<std::string>("file")};
  const auto kind = reader.need<std::string>("kind");
  if (!kinds().contains(kind))
    fail(where, "the kind \"" + excerpt(kind) + "\"", "one of " + names_of(kinds()));
  const KindRules& rules = kinds().at(kind);
  task.kind = rules.kind;
  task.metrics = reader.need<std::vector<std::string>>("metrics");
  task.delimiter = reader.get("delimiter", task.delimiter);
  if (const json* value = reader.find("description"))
    task.description = read_templates(*value, where + " description");
  for (const json& form : reader.need<json>("forms"))
    task.forms.push_back(read_form(form, rules, where));
  if (const json* value = reader.find("few_shot")) read_shots(*value, task, where);
  if (const json* value = reader.find("generation"))
    task.generation = read_generation(*value, where + " generation");
  if (const json* value = reader.find("boxes")) task.boxes = read_boxes(*value, where);
  reader.finish();
  if (task.forms.empty()) fail(where, "no form", "at least one");
  check_metrics(task, rules, where);
  task.text = text;
  return task;
}

}  // namespace

fs::path task_folder() {
  std::error_code ignored;
  const fs::path here = fs::read_symlink("/proc/self/exe", ignored).parent_path();
  for (const fs::path& folder : {here.parent_path() / KARAT_TASKS_BELOW_PREFIX,
                                 fs::path(KARAT_SOURCE_TASKS), fs::path(KARAT_INSTALLED_TASKS)})
    if (fs::is_directory(folder, ignored)) return folder;
  fail("tasks", "no folder of task files", KARAT_INSTALLED_TASKS,
       "install Karat, or give the path of a task file");
}

std::vector<std::string> known_tasks() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(task_folder()))
    if (entry.path().extension() == ".json") names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

TaskDefinition find_task(const std::string& name) {
  if (fs::path(name).extension() == ".json") return read_task(name);
  std::string names;
  for (const std::string& known : known_tasks()) {
    if (known == name) return read_task(task_folder() / (name + ".json"));
    names += (names.empty() ? "" : ", ") + known;
  }
  fail("task", "\"" + excerpt(name) + "\"", "one of " + names, "or the path of a task file");
}

}  // namespace karat
