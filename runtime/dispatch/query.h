/// \file A query's life as a table: state x event -> state, action. docs/dispatch.md shows the same
/// rows with a scenario for each; dispatcher.cpp carries the actions out.
#pragma once

#include <stdint.h>

namespace semdns::dispatch {

enum class State : uint8_t {
  Asking, ///< stage 3 is to decide: by this query, or by another for both
  Ready,
  Trying,
  Hedged,
  Streaming,
  Done,
};

enum class Event : uint8_t {
  Classified, ///< stage 3 has
  Chosen,     ///< an endpoint has been reserved
  Nobody,     ///< none may be asked
  NoEngines,  ///< the artifact declares none for this zone
  FirstByte,
  Ok,
  Failure, ///< ERROR, TIMEOUT, lease, endpoint gone
  GivenUp, ///< the attempt was cancelled by the caller
  Hedge,   ///< a second endpoint has been reserved
  Deadline,
  Cancel, ///< the query was
};

enum class Action : uint8_t {
  None, ///< not in the table: nothing happens
  Adopt,
  Start,
  Refuse,
  Answer,
  TimeOut,
  CancelQuery,
  Commit,
  Fail,
  Release,
  BreakOff,
};

struct Transition {
  State next;
  Action action;
};

/// {state, Action::None} for what is not in the table.
Transition transition(State state, Event event);

const char *stateText(State state);
const char *eventText(Event event);

} // namespace semdns::dispatch
