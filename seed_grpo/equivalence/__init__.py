# temporary stub by the lead: overwrite
def cluster_answers(answers, *, level="exact", no_answer="singleton"):
    ids, out = {}, []
    for n, a in enumerate(answers):
        key = ("none", n) if a is None else a
        out.append(ids.setdefault(key, len(ids)))
    return out


def grade_answer(answer, gold, *, level="symbolic"):
    return answer in ([gold] if isinstance(gold, str) else gold)
