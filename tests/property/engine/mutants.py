"""Engines broken on purpose, each with a fault that users of another system reported: the machine has to notice.

A mutant is a change of the source's text (`breaking.py`). ``histories/`` holds for each the smallest history that shows
it.
"""

from __future__ import annotations

from tests.property.engine.breaking import Mutant, Patch


def _mutant(name: str, fault: str, *patches: tuple[str, str, str]) -> Mutant:
    return Mutant(name, fault, tuple(Patch(*patch) for patch in patches))


_SAME = "    return link.mapping_version == ctx.rule.version and ctx.merger.unchanged("

MUTANTS = (
    _mutant(
        "shadow-moved-before-acknowledgement",
        "a failed row is never sent again, because its fingerprint was stored before delivery (Multiwoven 923)",
        (
            "diff/settle.py",
            "        at_rest = at_rest and settled\n",
            "        settled = not decision.hold\n        at_rest = at_rest and settled\n",
        ),
        ("diff/settle.py", "return not (decision.hold or failed_local or failed_remote)", "return not decision.hold"),
    ),
    _mutant(
        "cursor-as-maximum",
        "pages go on after the greatest time: more equal ones are lost (Supaglue 532, Airbyte 17148)",
        (
            "testing/memory_records.py",
            "after = (versions[-1].modified_at, versions[-1].id) if versions and has_more else None",
            'after = (versions[-1].modified_at, "~") if versions and has_more else None',
        ),
    ),
    _mutant(
        "no-look-back",
        "what becomes visible late is missed (Airbyte 27146)",
        ("testing/memory_records.py", "self._stamp(now - self._limits.look_back)", "self._stamp(now)"),
    ),
    _mutant(
        "no-journal",
        "a write whose acknowledgement was lost is taken for somebody's edit (OCA connector 522)",
        ("engine/batch.py", "    await journal(ctx, batch.entries or ())\n", ""),
    ),
    _mutant(
        "echo-guard-by-time",
        "what was changed a moment ago is taken for our own write (process-wide guards; MinnPost)",
        (
            "engine/intake.py",
            _SAME,
            "    if record.modified_at and (ctx.clock.now() - record.modified_at).total_seconds() < 30:\n"
            "        return True\n" + _SAME,
        ),
    ),
    _mutant(
        "first-of-several-candidates",
        "two records have this e-mail, and one of them is picked (HubSpot, Pardot)",
        ("engine/matching.py", "if twins or len(others) > 1:", "if twins:"),
    ),
    _mutant(
        "same-person-twice",
        "the same person twice in one batch makes two remote records (Mautic 13435)",
        (
            "engine/matching.py",
            "twins = [r for r in found.twins.get(email, []) if r.id != record.id]",
            "twins: list[Record] = []",
        ),
    ),
    _mutant(
        "one-shared-shadow",
        "both sides are compared with what we sent, not with what each stored (Grouparoo; one base for both sides)",
        (
            "diff/settle.py",
            "known_there or _digest(merger, field, _REMOTE, their)\n",
            "_digest(merger, field, _REMOTE, rule.to_remote(our).value)\n",
        ),
        (
            "diff/settle.py",
            "digest if same and field.alike else _digest(merger, field, _REMOTE, their)\n",
            "_digest(merger, field, _REMOTE, field.rule.to_remote(our).value)\n",
        ),
    ),
    _mutant(
        "missing-is-cleared",
        "a field that the side did not return is taken for a blank, and wiped (Mautic 11251)",
        (
            "diff/readings.py",
            "return tuple(fields.get(name, MISSING) for name in names)",
            "return tuple(fields.get(name) for name in names)",
        ),
    ),
    _mutant(
        "new-field-not-filled",
        "a field newly added to the mapping is filled only where it is edited (common: history is never back-filled)",
        (
            "diff/merge.py",
            "            elif field.alike and exactly_equal(",
            (
                '            elif local_shadow[9:11] > b"\\0\\0":\n                continue\n'
                "            elif field.alike and exactly_equal("
            ),
        ),
    ),
    _mutant(
        "delete-by-absence",
        "what an incomplete scan did not show looks deleted (Nango)",
        ("engine/passing.py", "if self._complete and ctx.had_links:", "if ctx.had_links:"),
        ("engine/deletes.py", "            if record_id not in present:\n", "            if record_id:\n"),
    ),
    _mutant(
        "rejects-forgotten",
        "a refused record is not tried again until its source changes (Multiwoven 923)",
        ("engine/run.py", "    await retry_unfinished(ctx, matcher)\n", ""),
    ),
    _mutant(
        "whole-record-newest-wins",
        "of two edits of different fields the older is lost (one hash for each record)",
        (
            "diff/deciding.py",
            "    return _flow(cell, sides[0])\n",
            (
                "    ours, theirs = cell.local.modified_at, cell.remote.modified_at\n"
                "    return _flow(cell, Side.LOCAL if ours and theirs and ours > theirs else Side.REMOTE)\n"
            ),
        ),
    ),
    _mutant(
        "newest-opts-in",
        "an opt-out is overwritten by whoever wrote later (Mailchimp for Salesforce)",
        (
            "diff/policies.py",
            (
                "    if rule.policy is ConflictPolicy.MOST_RESTRICTIVE:\n"
                "        return Verdict(_most_restrictive(cell))\n"
            ),
            "",
        ),
    ),
    _mutant(
        "blind-retry-of-a-create",
        "a create whose answer was lost is sent again (aiosalesforce)",
        (
            "engine/writing.py",
            "            answered = await store.write(batch)\n",
            (
                "            try:\n"
                "                answered = await store.write(batch)\n"
                "            except TransientError:\n"
                "                answered = await store.write(batch)\n"
            ),
        ),
    ),
    _mutant(
        "set-written-whole",
        "the list of tags of one side replaces the other's (common: a multi-select is written as one value)",
        (
            "diff/sets.py",
            "    if enforcement is Enforcement.MIRROR and reverse is Enforcement.OFF:",
            "    if change:",
        ),
    ),
    _mutant(
        "cursor-before-acknowledgement",
        "the position is stored when the page is read; a crash loses the page (OCA connector-salesforce)",
        (
            "engine/passing.py",
            "        await write_out(ctx, batch)\n",
            (
                "        at = None if waits or portion.ends is None else ctx.advanced(side, portion.ends.cursor)\n"
                "        await ctx.acknowledge(Acknowledgement(cursors=at))\n"
                "        await write_out(ctx, batch)\n"
            ),
        ),
    ),
    _mutant(
        "one-success-for-all",
        "a batch with one success counts as success for all (Multiwoven)",
        (
            "engine/writing.py",
            "        due[op_id].outcomes[side] = outcome\n",
            (
                "        fine = next((o for o in outcomes.values() if o.ok), None)\n"
                "        if fine is not None and not outcome.ok:\n"
                "            outcome = Outcome(op_id, fine.status, due[op_id].operations[side].id)\n"
                "        due[op_id].outcomes[side] = outcome\n"
            ),
        ),
    ),
    _mutant(
        "unseen-value-deleted",
        "a delete takes along a value that the side where it was deleted had refused, and nobody there had seen",
        ("diff/standing.py", "if not known.settled and not is_blank(normal):", "if False:"),
    ),
    _mutant(
        "what-one-crm-says-stays-there",
        "a change pulled from one CRM is never sent to the other (Mautic)",
        (
            "engine/intake.py",
            _SAME,
            "    if side is Side.LOCAL and record.modified_by_self:\n        return True\n" + _SAME,
        ),
    ),
    _mutant(
        "cleared-does-not-flow",
        "a cleared field does not propagate (Mautic 6141)",
        (
            "diff/deciding.py",
            "    if writes_over(rule, target, cell.normal(target)):\n        return _write(cell, source)\n",
            (
                "    if writes_over(rule, target, cell.normal(target)) and not is_blank(cell.normal(source)):\n"
                "        return _write(cell, source)\n"
            ),
        ),
    ),
    _mutant(
        "deleted-comes-back",
        "a contact deleted locally is created again by the next sync (Mautic 8904)",
        (
            "engine/intake.py",
            "        elif link.status in ASIDE:\n",
            (
                "        elif link.status in ASIDE and not shadow_of(link, side.other):\n"
                "            strangers.append(record)\n"
                "        elif link.status in ASIDE:\n"
            ),
        ),
    ),
    _mutant(
        "first-delete-decides-for-all",
        "the first record's delete decision is applied to the whole batch (Grouparoo)",
        (
            "engine/deletes.py",
            "action = decide_delete(ctx.merger, policy, deleted, survivor, shadow).action",
            (
                "action = decide_delete(ctx.merger, policy, deleted, survivor, shadow).action\n"
                "        action = farewells[0].action if farewells else action"
            ),
        ),
    ),
    _mutant(
        "rate-limit-is-the-end",
        "a read that was refused is reported as a finished sync (Airbyte source-salesforce)",
        (
            "engine/passing.py",
            "            if isinstance(ahead, CRMError):\n                raise ahead\n",
            "            if isinstance(ahead, CRMError):\n                return\n",
        ),
    ),
    _mutant(
        "loser-sent-back",
        "in a conflict the loser's value is written over the winner's side: the sides swap (Mautic)",
        (
            "diff/deciding.py",
            "    decision = _write(cell, winner)\n",
            (
                "    decision = _write(cell, winner)\n"
                "    loser = _write(cell, winner.other)\n"
                "    swap = {'local_write': loser.local_write, 'remote_write': loser.remote_write}\n"
                "    del swap[f'{winner.other}_write']\n"
                "    decision = attrs.evolve(decision, **swap)\n"
            ),
        ),
    ),
    _mutant(
        "history-without-recovery",
        "what a crash kept from being acknowledged is in no history, and no undo takes it back",
        ("engine/recovery.py", "            settled.changes.append(done)\n", "            pass\n"),
    ),
    _mutant(
        "delete-not-journaled",
        "the history lacks a delete that a crash kept from being acknowledged",
        ("engine/deletes.py", "        await _announce(ctx, farewells)\n", "        pass\n"),
    ),
    _mutant(
        "plan-forgets-its-moves",
        "a plan takes a pair for linked that the run has just separated, and the run writes more than was planned",
        ("engine/context.py", "if self.moved else found", "if False else found"),
    ),
    _mutant(
        "plan-meets-nobody-after-a-merge",
        "an approved plan leaves out the new contact of who was separated by a merge, and its position is behind it",
        ("engine/run.py", "await _not_followed(ctx, moved, queue)", "[]"),
    ),
    _mutant(
        "plan-without-who-was-separated",
        "an approved plan leaves the link at a contact that was merged away: a new one is refused until all is read",
        ("engine/merging.py", "    if ctx.dry_run:\n        # Nothing", "    if False:\n        # Nothing"),
    ),
    _mutant(
        "tombstone-stays-behind",
        "who was deleted locally comes back when the CRM converts the lead, for the tombstone names the lead alone",
        ("engine/merging.py", "link is not None and survivor in free and survivor not in followed", "False"),
    ),
    _mutant(
        "relinked-forgets-who-was-heard",
        "an old opt-out of who has a new contact by now is taken for news of whom the old one was merged into",
        ("engine/settling.py", "        links += work.left\n", ""),
    ),
    _mutant(
        "crash-takes-survivor-for-edited",
        "after a crash what a contact had of its own is taken for an edit of the lead that became it",
        ("engine/recovery.py", "if known is not None and _is_pair_of_another(known, remote):", "if False:"),
    ),
    _mutant(
        "shown-as-living",
        "a feed that is behind shows a lead that was converted as somebody new, and brings back who was deleted here",
        ("engine/intake.py", "    if gone:\n", "    if False:\n"),
    ),
    _mutant(
        "undelete-is-an-edit",
        "a contact that comes back from the recycle bin overwrites what was edited meanwhile: its time stamp is new",
        ("engine/tombstones.py", "    if not (local and remote):\n", "    if local or remote:\n"),
    ),
    _mutant(
        "planned-on-stale-look-ups",
        "what was looked up before a write is believed after it: a record that comes again is created twice",
        ("engine/foresight.py", "        return not touched\n", "        return True\n"),
    ),
    _mutant(
        "read-before-it-was-written",
        "what was read of the local side before the CRM's pass wrote to it is taken for an edit, and sent back",
        ("engine/passing.py", "        self._written.note(outdated)\n", ""),
    ),
    _mutant(
        "head-start-not-told",
        "what was looked up for the local side's pass before its turn is believed after the CRM's pass has written",
        (
            "engine/passing.py",
            "        ctx.foresights.append(foresight)\n",
            ("        if self._start is None or self._start.is_over:\n            ctx.foresights.append(foresight)\n"),
        ),
        (
            "engine/passing.py",
            "            ctx.foresights.remove(foresight)\n",
            "            ctx.foresights[:] = [each for each in ctx.foresights if each is not foresight]\n",
        ),
    ),
    _mutant(
        "undo-carried-over",
        "what an undo restores is taken for somebody's edit, and the next run carries it to the other side",
        ("engine/undoing.py", "shifted(ctx, link, side, as_left), record", "link, record"),
    ),
    _mutant(
        "hidden-opt-out-overwritten",
        "what a side reports late is taken for what it holds, and an opt-in is written over an opt-out",
        ("engine/intake.py", "    await look_again(ctx, side, intake.works)\n", "    pass\n"),
    ),
    _mutant(
        "edit-before-conversion",
        "an edit of a lead that is converted before a run saw it loses against what nobody has edited",
        ("diff/standing.py", "(name in last and now ==", "(False and now =="),
    ),
    _mutant(
        "approval-of-everything",
        "whoever approves one plan lets pass what comes after it, too",
        ("engine/stops.py", "    ctx.approved = False\n", ""),
    ),
    _mutant(
        "hidden-is-compared",
        "an edit of a field that the other side does not show is taken for dealt with, and lost once it shows it",
        ("diff/settle.py", "    left = NO_READING if _LOCAL in carried.merge.unshown else left\n", ""),
    ),
    _mutant(
        "calls-counted-by-each-process",
        "a day's calls are counted in memory: each process has the whole day (common: a rate limiter in each worker)",
        (
            "engine/budget.py",
            "block.day, wanted, needed=needed, limit=limit)\n",
            (
                "block.day, wanted, needed=needed, limit=None)\n"
                "        got = wanted if limit is None else min(wanted, limit - self._spent - block.left)\n"
            ),
        ),
    ),
    _mutant(
        "lease-not-confirmed",
        "a worker that stood still goes on writing beside the one that took over (locks that expire)",
        ("engine/writing.py", "            await ctx.lease.confirm()\n", ""),
    ),
    _mutant(
        "slow-run-given-up",
        "a run that takes longer than its lease is given up, though nobody else wants it (common: a task's time-out)",
        (
            "engine/lease.py",
            "            if not self._has_time():\n                await self._renew()\n",
            "            raise LeaseLostError('it took too long')\n",
        ),
    ),
    _mutant(
        "erased-comes-in-again",
        "who was erased and is still in a list somewhere is taken in again (common: an erasure without a mark)",
        ("engine/erasing.py", "    if not ctx.erasures or not strangers:", "    if strangers or not strangers:"),
    ),
    _mutant(
        "erased-but-not-from-history",
        "an erasure deletes the records, and the history keeps their values (common: audit tables are forgotten)",
        (
            "storage/memory_erasure.py",
            "            Kept.CHANGES: ours.changes.drop(lambda change: _theirs(change, ids)),\n",
            "",
        ),
    ),
)
