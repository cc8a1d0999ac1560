# temporary stub by the lead: overwrite
def extract_answer(response, *, template="boxed"):
    i = response.rfind("\\boxed{")
    j = response.find("}", i)
    return response[i + 7 : j] if i >= 0 and j >= 0 else None
