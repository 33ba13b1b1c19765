"""Search."""

from __future__ import annotations

from local_sagemaker.requests.members.declaration import SORTED_PAGE, Members

SEARCH: dict[str, Members] = {
    "Search": Members(
        done=f"""
            Resource {SORTED_PAGE} SearchExpression.Operator
            SearchExpression.Filters[].Name SearchExpression.Filters[].Operator SearchExpression.Filters[].Value
        """,
        without_effect={"CrossAccountFilterOption": "there is one account"},
        refused={
            "SearchExpression.NestedFilters": "use Filters",
            "SearchExpression.SubExpressions": "use Filters",
            "VisibilityConditions": "they are for internal use",
        },
    )
}
