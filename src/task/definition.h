// A task file, read: which data, which prompt, which answers, which metrics.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "task/template.h"

namespace karat {

/// What is asked of a row, and with which parts of a form.
enum class TaskKind {
  choices,       // context, choices, gold: one context, which of some continuations?
  contexts,      // contexts, target, gold: one continuation, after which of some contexts?
  continuation,  // context, target: how likely, and is it the greedy one?
  generation,    // context, target: what does the model write?
  boxes          // response, box, size: does a box in a text cover the right one?
};

/// One way in which rows of the task's data come: parts by name, each of one or several templates.
using TaskForm = std::map<std::string, std::vector<Template>>;

/// Answers found in generated text: match number `select` (negative: from the last) of a pattern.
struct Extraction {
  std::string name, pattern;
  std::int64_t select = 0;
};

struct GenerationRules {
  std::vector<std::string> stop;
  std::int64_t most_tokens = 256;
  std::vector<Extraction> extract;
  std::vector<std::string> ignore;  // patterns removed from answer and target before comparing
  bool ignore_case = false;
};

/// How boxes are written where the text does not tell.
struct BoxRules {
  bool xywh = false;        // the true box is left, top, width, height
  bool thousandths = true;  // plain numbers and bbox_2d are thousandths of the size, else pixels
};

struct TaskDefinition {
  std::string name, about;
  TaskKind kind = TaskKind::choices;
  std::string file;  // of the data, perhaps with a '*' for the name of a group
  std::vector<TaskForm> forms = {};
  std::vector<std::string> metrics = {};
  std::string delimiter = " ";             // between context and answer
  std::vector<Template> description = {};  // before everything, of {group}; none or one

  std::string shots_file = {};  // '*': the group; empty: the data file itself
  bool shots_first = false;     // the first rows, in order, instead of drawn ones
  std::int64_t shots = 0;

  GenerationRules generation = {};
  BoxRules boxes = {};
  std::string text = {};  // of the file
};

/// The task `name` of the program, or of the file `name` when it ends in ".json". Throws Error that
/// lists the tasks there are, or names what is wrong with the file.
TaskDefinition find_task(const std::string& name);

/// Where the program's task files are.
std::filesystem::path task_folder();

}  // namespace karat
