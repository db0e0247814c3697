(function(){let e=document.createElement(`link`).relList;if(e&&e.supports&&e.supports(`modulepreload`))return;for(let e of document.querySelectorAll(`link[rel="modulepreload"]`))n(e);new MutationObserver(e=>{for(let t of e)if(t.type===`childList`)for(let e of t.addedNodes)e.tagName===`LINK`&&e.rel===`modulepreload`&&n(e)}).observe(document,{childList:!0,subtree:!0});function t(e){let t={};return e.integrity&&(t.integrity=e.integrity),e.referrerPolicy&&(t.referrerPolicy=e.referrerPolicy),t.credentials=e.crossOrigin===`use-credentials`?`include`:e.crossOrigin===`anonymous`?`omit`:`same-origin`,t}function n(e){if(e.ep)return;e.ep=!0;let n=t(e);fetch(e.href,n)}})();var e=`Pages of holdfast`,t=class extends Error{signIn;constructor(e,t){super(e),this.signIn=t}},n=class{endpoint;token;constructor(e,t){this.endpoint=e,this.token=t}async ask(e,t){let n=await this.post(e,t,`application/json`);return r(await n.text(),n.status)}async watch(e,t,n,i){let a=await this.post(e,t,`text/event-stream`,n);if(!a.headers.get(`content-type`)?.startsWith(`text/event-stream`)||!a.body)throw r(await a.text(),a.status),Error(`the server does not stream`);let o=a.body.pipeThrough(new TextDecoderStream).getReader(),s=``;for(;;){let{done:e,value:t}=await o.read();if(e)throw Error(`the stream broke off`);let n=(s+t.replaceAll(`\r
`,`
`)).split(`

`);s=n.pop()??``;for(let e of n){let t=t=>e.split(`
`).filter(e=>e.startsWith(`${t}:`)).map(e=>e.slice(t.length+1).trimStart()).join(`
`);if(t(`event`)===`complete`)return;t(`event`)===`next`&&i(r(t(`data`),a.status))}}}post(e,t,n,r){return fetch(this.endpoint,{method:`POST`,headers:{Accept:n,"Content-Type":`application/json`,Authorization:`Bearer ${this.token}`},body:JSON.stringify({query:e.toString(),variables:t}),signal:r})}};function r(e,n){let r;try{r=JSON.parse(e)}catch{throw new t(`The server answered with status ${n}.`,!1)}let[i]=r.errors??[];if(i)throw new t(i.message,[`UNAUTHENTICATED`,`FORBIDDEN`].includes(i.extensions?.code??``));if(!r.data)throw new t(`The server answered with status ${n} and no data.`,!1);return r.data}function i(){let e=document.getElementById(`holdfast-config`)?.textContent??`{}`;return{endpoint:`/graphql`,token:``,workloads:[{name:`transfers`,title:``,about:`Transfers of 1 between a few accounts.`}],plans:[],strategies:[`none`,`rowlock`],maxClients:200,maxMilliseconds:9e5,pages:[],...JSON.parse(e)}}function a(e){return e.toUpperCase()}function o(e){return e.toLowerCase()}function s(e,t={},...n){let r=document.createElement(e);for(let[e,n]of Object.entries(t))n!==!1&&r.setAttribute(e,n===!0?``:n);return r.append(...n.filter(e=>e!==!1&&e!=null&&e!==``)),r}function c(e){let t=document.getElementById(e);if(!t)throw Error(`the page has no #${e}`);return t}var l=new WeakMap;function u(e,t,n){let r=JSON.stringify(t);l.get(e)!==r&&(l.set(e,r),e.replaceChildren(...n().filter(e=>e!==!1&&e!=null)))}var d=class{config;element=c(`experiment`);what=this.element.elements.namedItem(`what`);choices=c(`choices`);boxes;constructor(e){this.config=e;let t=(e,t,n)=>s(`option`,{value:`${e}/${t}`},n||t);this.what.append(s(`optgroup`,{label:`Workloads`},...e.workloads.map(e=>t(`workload`,e.name,e.title))),s(`optgroup`,{label:`Plans that come with holdfast`},...e.plans.map(e=>t(`plan`,e.name,e.title)))),this.what.value=e.workloads.some(e=>e.name===`transfers`)?`workload/transfers`:this.what.value,this.boxes=e.strategies.map(e=>s(`input`,{type:`checkbox`,name:`strategies`,value:e,checked:[`none`,`rowlock`,`lua`].includes(e)})),c(`strategies`).append(...this.boxes.map(e=>s(`label`,{},e,e.value))),this.number(`clients`).max=String(e.maxClients),this.number(`durationMs`).max=String(e.maxMilliseconds),this.what.addEventListener(`change`,()=>this.chosen()),this.element.addEventListener(`change`,()=>this.check()),this.chosen()}input(){let{kind:e,name:t}=this.choice();return e===`plan`?{plan:t}:{workload:t,strategies:this.boxes.filter(e=>e.checked).map(e=>a(e.value)),clients:this.number(`clients`).valueAsNumber,durationMs:this.number(`durationMs`).valueAsNumber,rounds:this.number(`rounds`).valueAsNumber,seed:this.number(`seed`).value}}choice(){let[e=``,t=``]=this.what.value.split(`/`);return{kind:e,name:t}}chosen(){let{kind:e,name:t}=this.choice(),n=e===`plan`?this.config.plans:this.config.workloads;c(`about`).textContent=n.find(e=>e.name===t)?.about??``,this.choices.disabled=this.choices.hidden=e===`plan`,this.check()}check(){let e=!this.boxes.some(e=>e.checked);this.boxes[0]?.setCustomValidity(e?`Pick at least one strategy.`:``)}number(e){return this.element.elements.namedItem(e)}},f=class extends String{__apiType;value;__meta__;constructor(e,t){super(e),this.value=e,this.__meta__=t}toString(){return this.value}},p=new f(`
    query Experiments {
  experiments {
    id
    name
    state
    startedAt
  }
}
    `),m=new f(`
    mutation StartExperiment($input: StartExperimentInput!) {
  startExperiment(input: $input) {
    experiment {
      id
    }
    userErrors {
      message
    }
  }
}
    `),h=new f(`
    mutation StopExperiment($input: StopExperimentInput!) {
  stopExperiment(input: $input) {
    experiment {
      id
      state
    }
    userErrors {
      message
    }
  }
}
    `),g=new f(`
    subscription ExperimentProgress($id: ID!) {
  experimentProgress(id: $id) {
    id
    name
    about
    state
    error
    progress {
      run
      runs
      round
      workload
      strategy
      operations
    }
    report {
      conclusion
      runs {
        workload
        strategy
        round
        findings {
          kind
          subject
          text
        }
      }
      cases {
        workload
        strategy
        setting
        successes
        refusals
        perSecond {
          median
          low
          high
        }
        p50Ms {
          median
          low
          high
        }
        p99Ms {
          median
          low
          high
        }
        violations
        damage
        audited
      }
    }
  }
}
    `);function _(e){return e.cases.filter(e=>e.violations>0).map(t=>{let n=e.runs.filter(e=>e.workload===t.workload&&e.strategy===t.strategy).flatMap(e=>e.findings).slice(0,3);return s(`div`,{class:`alarm`},s(`strong`,{},`${t.strategy} broke the shop under ${t.workload}: ${t.damage}`),s(`ul`,{},...n.map(e=>s(`li`,{},`${e.kind}: `,s(`code`,{},e.subject),` ${e.text}`))))})}function v(e){return e.length>0?[s(`h3`,{},`Conclusion`),s(`ul`,{},...e.map(e=>s(`li`,{},e)))]:[]}function y(e){let t=new Map;for(let n of e){let e=`${n.workload} on ${n.setting}`;t.set(e,[...t.get(e)??[],n])}return[...t].map(([e,t])=>s(`section`,{class:`card`,"aria-label":e},s(`h3`,{},e),s(`div`,{class:`plots`},b(`Successes in a second (more is better)`,t,[e=>e.perSecond]),b(`Latency in ms: median, and 99th percentile below it (less is better)`,t,[e=>e.p50Ms,e=>e.p99Ms])),s(`p`,{class:`quiet`},`Whiskers are the range of the rounds; from six rounds on, the 95 % confidence interval of the median. Hatched bars lost or invented something.`),x(e,t)))}function b(e,t,n){let r=Math.max(...t.flatMap(e=>n.map(t=>t(e).high)),1e-9),i=e=>`${100*e/r}%`,a=t.flatMap(e=>n.map((t,n)=>{let{median:r,low:a,high:c}=t(e),l=s(`div`,{class:[`fill`,n>0&&`second`,e.violations>0&&`broken`].filter(Boolean).join(` `)});l.style.setProperty(`--value`,i(r));let u=s(`div`,{class:`whisker`,hidden:a===c});return u.style.setProperty(`--low`,i(a)),u.style.setProperty(`--span`,i(c-a)),s(`div`,{class:`bar`},s(`span`,{},n===0?o(e.strategy):``),s(`div`,{class:`track`},l,u),s(`span`,{class:`figure`},C(r)))}));return s(`figure`,{},s(`figcaption`,{},e),s(`div`,{"aria-hidden":`true`},...a))}function x(e,t){let n=[`strategy`,`successes/s`,`p50 ms`,`p99 ms`,`successes`,`refusals`,`audit`],r=t.map(e=>s(`tr`,{},s(`th`,{scope:`row`},o(e.strategy)),...[S(e.perSecond),S(e.p50Ms),S(e.p99Ms),e.successes,e.refusals].map(e=>s(`td`,{},e)),s(`td`,{class:e.violations>0?`bad`:`good`},`${e.violations>0?`✗ `:``}${e.audited?e.damage:`not audited`}`)));return s(`div`,{class:`scroll`,tabindex:`0`,role:`region`,"aria-label":`Figures of ${e}`},s(`table`,{},s(`thead`,{},s(`tr`,{},...n.map(e=>s(`th`,{scope:`col`},e)))),s(`tbody`,{},...r)))}function S({median:e,low:t,high:n}){return t===n?C(e):`${C(e)} [${C(t)}–${C(n)}]`}function C(e){return e.toFixed(e>=100?0:e>=10?1:2)}var w=`holdfast:lab:token`,T=1e3,E=i(),D=new d(E),O=c(`sign-in`),k=c(`problem`),A=c(`start`),j=c(`stop`),M=new n(E.endpoint,``),N,P=e=>e!==`RUNNING`&&e!==`STOPPING`;function F(e){if(k.textContent=e instanceof t?e.message:`The server cannot be reached.`,e instanceof t&&e.signIn){sessionStorage.removeItem(w),I(``);let t=O.elements.namedItem(`token`);t.setCustomValidity(e.message),t.reportValidity()}}function I(e){M=new n(E.endpoint,e),O.hidden=e!==``,D.element.hidden=e===``,c(`experiments`).hidden=c(`shown`).hidden=!0,N?.end.abort(),N=void 0,e&&L().catch(F)}async function L(){let e=(await M.ask(p,{})).experiments??[],[t]=e;t&&!N&&R(t.id),c(`experiments`).hidden=e.length===0,u(c(`earlier`),[e,N?.id],()=>e.map(e=>{let t=new Date(e.startedAt).toLocaleTimeString(),n=s(`button`,{type:`button`,class:`secondary`,...e.id===N?.id&&{"aria-current":`true`}},`${e.name}, ${t}: ${e.state.toLowerCase()}`);return n.addEventListener(`click`,()=>void R(e.id)),s(`li`,{},n)}))}async function R(e){N?.end.abort();let n=new AbortController;N={id:e,end:n};let r=`RUNNING`;for(;!n.signal.aborted&&!P(r);)try{await M.watch(g,{id:e},n.signal,({experimentProgress:e})=>{let t=e.state!==r;r=e.state,z(e),t&&L().catch(F)})}catch(e){if(n.signal.aborted)return;if(e instanceof t){F(e);return}await new Promise(e=>setTimeout(e,T))}}function z(e){c(`shown`).hidden=!1,c(`shown-title`).textContent=e.name,A.disabled=!P(e.state),j.disabled=e.state!==`RUNNING`;let{progress:t,report:n}=e;u(c(`status`),[e.state,e.error,t?.run],()=>[B(e)]),c(`counted`).textContent=t&&!P(e.state)?`${t.operations} operations answered in this run.`:``;let r=c(`bar`);r.hidden=P(e.state),r.max=t?.runs??1,r.value=t?t.run-1:0,u(c(`alarms`),n.cases.map(t=>[e.id,t.workload,t.strategy,t.violations]),()=>_(n)),u(c(`conclusion`),n.conclusion,()=>v(n.conclusion)),u(c(`results`),n.cases,()=>y(n.cases))}function B(e){let t=e.progress;switch(e.state){case`RUNNING`:return t?`Run ${t.run} of ${t.runs}: ${t.workload} under ${o(t.strategy)}, round ${t.round}.`:`Starting servers.`;case`STOPPING`:return`Stopping: its servers are ending.`;case`FINISHED`:return`Finished.`;case`STOPPED`:return`Ended early: ${e.error}.`;case`FAILED`:return`Failed: ${e.error}`}}D.element.addEventListener(`submit`,e=>{e.preventDefault(),k.textContent=``,A.disabled=!0,M.ask(m,{input:D.input()}).then(({startExperiment:e})=>{let[n]=e?.userErrors??[];if(n||!e?.experiment)throw new t(n?.message??`Nothing was started.`,!1);return R(e.experiment.id),L()}).catch(e=>{A.disabled=!1,F(e)})}),j.addEventListener(`click`,()=>{j.disabled=!0,M.ask(h,{input:{id:N?.id}}).catch(F)}),O.addEventListener(`submit`,e=>{e.preventDefault();let t=O.elements.namedItem(`token`).value.trim().replace(/^Bearer\s+/i,``);sessionStorage.setItem(w,t),k.textContent=``,I(t)}),O.addEventListener(`input`,()=>O.elements.namedItem(`token`).setCustomValidity(``));function V(){let t=c(`pages`);t.setAttribute(`aria-label`,e),t.hidden=E.pages.length<2,t.firstElementChild?.append(...E.pages.map(({title:e,path:t})=>s(`li`,{},s(`a`,{href:t,...t===window.location.pathname&&{"aria-current":`page`}},e))))}V(),I(E.token||(sessionStorage.getItem(w)??``));