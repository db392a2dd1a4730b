report() { echo "$(date '+%F %T') ${HOSTNAME%%.*}, job $name, attempt $attempt: $*"; }

# Record an event for `pyxt-hpc status` and `pyxt-hpc cancel`: event, detail, and attempt and id if they are
# not those of this attempt. The loss of a line has no effect on the work.
record_event() {
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$(date '+%FT%T')" "$system" "$job" "$task" \
        "${3:-$attempt}" "${4:-$id}" "$1" "$2" >>"$record" || report "cannot write $record"
}
# Whether the job was cancelled by `pyxt-hpc cancel` (all tasks), or by a task that could not withdraw its next
# attempt.
is_cancelled() {
    awk -F '\t' -v job="$job" -v task="$task" '
        $3 == job && $7 == "cancelled" && ($4 == "*" || $4 == task) { found = 1 }
        END { exit !found }' "$record" 2>/dev/null
}

# A trap runs only while the shell waits. Therefore programs run in the background, and a wait that ends by a
# signal is repeated.
signals=0 warned=0 cancelled=0 code=0 child='' reminder='' next_id='' ended='' timer=''
forward_signal() {
    signals=$((signals + 1))
    [ -z "$child" ] || tell_child
}
# The signal is repeated, because launchers lose signals while they start their ranks.
tell_child() {
    kill -USR1 "$child" 2>/dev/null || true
    [ -z "$reminder" ] || return 0
    (while sleep 2 && kill -USR1 "$child"; do :; done) >/dev/null 2>&1 &
    reminder=$!
}
# The warning makes the program stop and exit with 75. The next attempt is prepared now, since there may be no time
# afterwards.
warn() {
    warned=1
    forward_signal
    report "the time limit comes soon: the program is told to stop"
    if [ "$attempt" -le "$max_requeues" ] && ! is_cancelled; then queue_ahead || true; fi
}
# TERM means the time limit, or that a user ends the job: then there is no next attempt, even after a warning.
terminate() {
    forward_signal
    if time_is_up; then
        warned=1
        report "the time limit is reached: the program is told to stop"
    else
        cancelled=1
        report "the job is ended from outside: the program is told to stop"
        withdraw_next
    fi
}
trap warn USR1
trap terminate TERM INT
on_exit() {
    [ -n "$ended" ] || record_event ended "$1"
    [ -z "$timer" ] || kill "$timer" 2>/dev/null || true
}
trap 'on_exit $?' EXIT

finish() { # CODE MESSAGE
    withdraw_next
    report "$2"
    record_event ended "$1 $2"
    ended=1
    exit "$1"
}
withdraw_next() {
    [ -n "$next_id" ] || return 0
    if withdraw "$next_id"; then
        report "job $next_id, the next attempt, is withdrawn"
        record_event withdrawn '' $((attempt + 1)) "$next_id"
    else
        report "job $next_id, the next attempt, cannot be withdrawn"
        if [ "$cancelled" -eq 1 ]; then record_event cancelled 'from outside'; fi
    fi
    next_id=''
}

# Run a program to its end; the script continues only if it has finished all work.
run() {
    start_and_wait "$@"
    stop_unless_done
}

start_and_wait() {
    local before=$signals seen=-1
    [ "$before" -eq 0 ] || { code=75; return; }
    report "$*"
    "$@" &
    child=$!
    [ "$signals" -eq "$before" ] || tell_child
    while [ "$seen" -ne "$signals" ]; do
        seen=$signals
        code=0
        wait "$child" || code=$?
    done
    [ -z "$reminder" ] || kill "$reminder" 2>/dev/null || true
    child='' reminder=''
}

stop_unless_done() {
    local why
    [ "$code" -ne 0 ] || return 0
    if [ "$cancelled" -eq 1 ]; then finish 143 "ended from outside; finished results are stored"; fi
    case $code in
    75) why="not finished" ;;
    # Numbers of signals, or these plus 128, depending on the launcher: out of memory, or a failed node. Finished
    # results are stored.
    6 | 7 | 9 | 11 | 15 | 134 | 135 | 137 | 139 | 143) why="a process was killed (exit code $code)" ;;
    *)
        # A warning that comes before the program can handle it kills the program, which is not an error.
        if [ "$warned" -eq 0 ] || [ "$code" -le 2 ]; then
            finish "$code" "exit code $code: the job does not run again"
        fi
        why="not finished (exit code $code)"
        ;;
    esac
    if is_cancelled; then finish 143 "cancelled by pyxt-hpc cancel; finished results are stored"; fi
    if [ "$attempt" -gt "$max_requeues" ]; then
        finish 75 "$why, but the limit max_requeues = $max_requeues is reached: submit it again to continue"
    fi
    report "$why: the job runs again"
    record_event ended "$code $why"
    ended=1
    run_again || finish 75 "cancelled, or cannot run again: submit it again to continue"
    # Not 0, so that jobs that wait for the success of this job do not start yet.
    exit 75
}

mkdir -p "$log_dir"
log=$log_stem-$name-attempt-$attempt.log
echo "attempt $attempt of job $name writes $log"
exec >>"$log" 2>&1
record_event started "${HOSTNAME%%.*}"
if is_cancelled; then finish 143 "cancelled by pyxt-hpc cancel: nothing to do"; fi
prepare
cd "$work_dir" || finish 2 "cannot change to the folder $work_dir"
