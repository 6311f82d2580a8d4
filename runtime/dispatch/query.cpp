#include "runtime/dispatch/query.h"

namespace semdns::dispatch {
namespace {

struct Row {
  State state;
  Event event;
  State next;
  Action action;
};

constexpr Row kTable[] = {
    {State::Asking, Event::Classified, State::Ready, Action::Adopt},
    {State::Asking, Event::Deadline, State::Done, Action::TimeOut},
    {State::Asking, Event::Cancel, State::Done, Action::CancelQuery},
    {State::Ready, Event::Chosen, State::Trying, Action::Start},
    {State::Ready, Event::Nobody, State::Done, Action::Refuse},
    {State::Ready, Event::NoEngines, State::Done, Action::Answer},
    {State::Ready, Event::Deadline, State::Done, Action::TimeOut},
    {State::Ready, Event::Cancel, State::Done, Action::CancelQuery},
    {State::Trying, Event::FirstByte, State::Streaming, Action::Commit},
    {State::Trying, Event::Ok, State::Done, Action::Answer},
    {State::Trying, Event::Failure, State::Ready, Action::Fail},
    {State::Trying, Event::GivenUp, State::Ready, Action::Release},
    {State::Trying, Event::Hedge, State::Hedged, Action::Start},
    {State::Trying, Event::Deadline, State::Done, Action::TimeOut},
    {State::Trying, Event::Cancel, State::Done, Action::CancelQuery},
    {State::Hedged, Event::FirstByte, State::Streaming, Action::Commit},
    {State::Hedged, Event::Ok, State::Done, Action::Answer},
    {State::Hedged, Event::Failure, State::Trying, Action::Fail},
    {State::Hedged, Event::GivenUp, State::Trying, Action::Release},
    {State::Hedged, Event::Deadline, State::Done, Action::TimeOut},
    {State::Hedged, Event::Cancel, State::Done, Action::CancelQuery},
    {State::Streaming, Event::Ok, State::Done, Action::Answer},
    {State::Streaming, Event::Failure, State::Done, Action::BreakOff},
    {State::Streaming, Event::GivenUp, State::Done, Action::CancelQuery},
    {State::Streaming, Event::Deadline, State::Done, Action::TimeOut},
    {State::Streaming, Event::Cancel, State::Done, Action::CancelQuery},
};

} // namespace

Transition transition(State state, Event event) {
  for (const Row &row : kTable)
    if (row.state == state && row.event == event)
      return {row.next, row.action};
  return {state, Action::None};
}

const char *stateText(State state) {
  constexpr const char *kWords[] = {"asking", "ready", "trying", "hedged", "streaming", "done"};
  return kWords[static_cast<uint8_t>(state)];
}

const char *eventText(Event event) {
  constexpr const char *kWords[] = {"classified", "chosen",   "nobody",  "no engines",
                                    "first byte", "ok",       "failure", "given up",
                                    "hedge",      "deadline", "cancel"};
  return kWords[static_cast<uint8_t>(event)];
}

} // namespace semdns::dispatch
