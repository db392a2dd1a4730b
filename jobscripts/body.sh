say() { echo "$(date '+%F %T') ${HOSTNAME%%.*}, job $job, attempt $attempt: $*"; }

# A trap runs only while the shell waits, so programs run in the background, and a wait that a signal
# ends is begun again. The warning (USR1) makes the program stop and exit with 75. So does TERM, which ends
# the job from outside: then nothing is to be run again.
signals=0 warned=0 cancelled=0 code=0 child=''
pass_on() {
    signals=$((signals + 1))
    if [ -n "$child" ]; then kill -USR1 "$child" 2>/dev/null || true; fi
}
trap 'warned=1; pass_on' USR1
trap 'cancelled=1; pass_on' TERM INT

run() {
    local before=$signals seen=-1
    [ "$before" -eq 0 ] || { code=75; return; }
    say "$*"
    "$@" &
    child=$!
    if [ "$signals" -ne "$before" ]; then kill -USR1 "$child" 2>/dev/null || true; fi
    while [ "$seen" -ne "$signals" ]; do
        seen=$signals
        code=0
        wait "$child" || code=$?
    done
    child=''
}

stop_unless_done() {
    [ "$code" -ne 0 ] || return 0
    if [ "$cancelled" -eq 1 ] && [ "$warned" -eq 0 ]; then
        say "ended from outside; what is finished is stored"
        exit 143
    fi
    # A warning that comes before the program is ready for it kills it: no error either.
    if [ "$code" -ne 75 ] && { [ "$warned" -eq 0 ] || [ "$code" -le 2 ]; }; then
        say "exit code $code: not run again"
        exit "$code"
    fi
    if [ "$attempt" -gt @MAX_REQUEUES@ ]; then
        say "not finished, but run @MAX_REQUEUES@ times again already: submit it once more to go on"
        exit 75
    fi
    say "not finished: run again"
    run_again || { say "cancelled, or cannot be run again: submit it once more to go on"; exit 75; }
    exit 0
}

mkdir -p @LOG_DIR@
log=@LOG_STEM@-$job-attempt-$attempt.log
echo "attempt $attempt of job $job writes $log"
exec >>"$log" 2>&1
watch_the_clock
cd @WORK_DIR@

@ENVIRONMENT@

@COMMANDS@
say "done"
